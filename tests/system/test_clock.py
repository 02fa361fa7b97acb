"""The machine's clock."""

import signal
import time
from datetime import UTC, datetime

import pytest

from songs_system.system import SystemClock


def test_the_time_of_day_is_cut_and_not_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond has come when it has come: 0.9999 ms are none yet."""
    late = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    monkeypatch.setattr("songs_system.system.time.time_ns", lambda: int(late.timestamp()) * 10**9 + 999_999_999)

    assert SystemClock().now() == datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)


def test_a_signal_does_not_shorten_sleep() -> None:
    """Whoever sleeps 0.1 s sleeps that long, though a signal comes in between."""
    clock = SystemClock()
    came: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: came.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        started = clock.monotonic_s()
        clock.sleep(0.1)
        assert clock.monotonic_s() - started >= 0.1
        assert came == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("duration_s", [0.0, -0.0, -1.0, -1e300, float("-inf")])
def test_no_time_at_all_does_not_sleep(monkeypatch: pytest.MonkeyPatch, duration_s: float) -> None:
    """Zero and less return without giving up the thread."""

    def never(_: float) -> None:
        raise AssertionError

    monkeypatch.setattr(time, "sleep", never)
    SystemClock().sleep(duration_s)
