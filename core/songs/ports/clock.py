"""Time."""

from datetime import datetime
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """What time it is, and how long things take. Thread-safe.

    CLK-1: `now` returns an aware datetime whose tzinfo is `datetime.UTC`, in whole milliseconds, whatever the
        machine's time zone is. It may go back.
    CLK-2: `monotonic_s` never goes back, and is the same clock in every thread of the process.
    CLK-3: `sleep` returns no sooner than `duration_s` later by `monotonic_s`; zero or less returns at once.
    """

    def now(self) -> datetime:
        """Return the time of day."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds since some moment in the past."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Do nothing for `duration_s` seconds."""
        ...
