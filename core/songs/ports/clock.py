"""Time."""

from datetime import datetime
from typing import Protocol, Self, runtime_checkable

from songs.errors import DeadlineExceeded


@runtime_checkable
class Clock(Protocol):
    """The time of day, and a monotonic time for durations. Thread-safe.

    CLK-1: `now` returns an aware datetime whose tzinfo is `datetime.UTC`, whatever the machine's time zone is: the
        millisecond that passes at the call, what is less than that cut off. It may go back.
    CLK-2: `monotonic_s` never goes back, and is the same clock in every thread of the process. It counts seconds, and
        shows each millisecond.
    CLK-3: `sleep` returns no sooner than `duration_s` later by `monotonic_s`, to the millisecond; zero or less returns
        at once. Other threads can read the clock meanwhile.
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


class Deadline:
    """A moment of the monotonic clock after which nobody waits any longer."""

    __slots__ = ("_clock", "at_s")

    def __init__(self, clock: Clock, at_s: float) -> None:
        self._clock = clock
        self.at_s = at_s

    @classmethod
    def after(cls, clock: Clock, deadline_s: float) -> Self:
        """Return the deadline `deadline_s` seconds from now."""
        return cls(clock, clock.monotonic_s() + deadline_s)

    def remaining_s(self) -> float:
        """Return the seconds left, 0.0 once the deadline has passed; never negative."""
        remaining_s = self.at_s - self._clock.monotonic_s()
        return remaining_s if remaining_s > 0.0 else 0.0  # noqa: FURB136 - no call, before each statement

    def later(self, by_s: float) -> Self:
        """Return the deadline `by_s` seconds after this one: for work that took these and is bounded otherwise."""
        return type(self)(self._clock, self.at_s + by_s)

    def check(self) -> None:
        """Raise `DeadlineExceeded` once the deadline has passed."""
        if self._clock.monotonic_s() >= self.at_s:
            raise DeadlineExceeded
