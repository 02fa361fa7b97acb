"""A clock that says what it is told to, for the tests of songs_system."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from songs.ports.clock import Clock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _SetClock:
    """A clock that stands still but for `set_ms`."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, duration_s: float) -> None:
        raise AssertionError

    def set_ms(self, since_1970_ms: int) -> None:
        self._now = _EPOCH + timedelta(milliseconds=since_1970_ms)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return _SetClock()


@pytest.fixture
def set_ms(clock: _SetClock) -> Callable[[int], None]:
    """Sets `clock` to some milliseconds since 1970."""
    return clock.set_ms
