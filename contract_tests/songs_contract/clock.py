"""A clock that runs like the machine's, and can be moved."""

import time
from datetime import UTC, datetime, timedelta

from songs.model import whole_milliseconds


class MovableClock:
    """The time of the machine, moved by what the test says. Waiting on it moves it instead.

    It runs by itself too, so that a call which waits for something until a deadline does end.
    """

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._wall_ahead = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return whole_milliseconds(datetime.now(UTC) + timedelta(seconds=self._ahead_s) + self._wall_ahead)

    def monotonic_s(self) -> float:
        """Return the monotonic time."""
        return time.monotonic() + self._ahead_s

    def sleep(self, duration_s: float) -> None:
        """Move on by `duration_s` at once."""
        self.advance(max(0.0, duration_s))

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        self._ahead_s += duration_s

    def set_wall_clock(self, ahead: timedelta) -> None:
        """Set the time of day wrong by `ahead`; the monotonic clock does not notice."""
        self._wall_ahead = ahead


class WaitingClock(MovableClock):
    """The same, where waiting takes its time: for what is repeated until a deadline, by a driver that sees no other."""

    def sleep(self, duration_s: float) -> None:
        """Wait."""
        time.sleep(max(0.0, duration_s))
