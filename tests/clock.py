"""The clock of tests: it moves when it is told to."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


def _nothing() -> None:
    pass


class ManualClock:
    """A clock that stands still until it is moved, or slept on; others may act in the meantime.

    Args:
        start: The time of day when `now_s` is 0.
        now_s: What its monotonic time begins with, in seconds.

    Attributes:
        now_s: Its monotonic time, with which the time of day moves.
        slept_s: How long it was slept on, each time.
        during: Called while somebody sleeps.
    """

    def __init__(self, start: datetime = START, now_s: float = 1_000.0) -> None:
        self._start = start
        self.now_s = now_s
        self.slept_s: list[float] = []
        self.during = _nothing

    def now(self) -> datetime:
        """Return the time of day, in whole milliseconds."""
        return self._start + timedelta(milliseconds=round(self.now_s * 1000))

    def monotonic_s(self) -> float:
        """Return the monotonic time."""
        return self.now_s

    def advance(self, duration_s: float) -> None:
        """Let time pass."""
        self.now_s += duration_s

    def sleep(self, duration_s: float) -> None:
        """Wake up in time, or later if others took longer."""
        self.slept_s.append(duration_s)
        wake_at_s = self.now_s + duration_s
        self.during()
        self.now_s = max(self.now_s, wake_at_s)
