"""The clock and the ids of the machine."""

import os
import threading
import time
from datetime import UTC, datetime
from typing import Final

from songs.ports.clock import Clock


class SystemClock:
    """The clock of the operating system."""

    # Not a method: several times in each request, a call that does nothing but call another.
    monotonic_s = staticmethod(time.monotonic)

    def now(self) -> datetime:
        # A binary fraction is nearer to its millisecond than to any other microsecond.
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1_000, UTC)

    def sleep(self, duration_s: float) -> None:
        if duration_s > 0:
            time.sleep(duration_s)


_RANDOM_BITS: Final = 80
_RANDOM_BYTES: Final = _RANDOM_BITS // 8
_STEP_BYTES: Final = 4
_BLOCK_BYTES: Final = 1024


class TimeOrderedIds:
    """Makes ids of 128 bits: 48 of milliseconds since 1970, then 80 random ones.

    Within one millisecond, and when the clock stands still or goes back, the next id is the last one plus a random
    step of 1 to 2**32, so that ids only grow and the next one cannot be guessed from the last. That is method 2 of
    RFC 9562, section 6.2; the layout is its version 7 without the version and variant bits, as ids are opaque.

    Args:
        clock: The time of day.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._random, self._used = b"", 0
        # Random from the start: a clock may say 1970 in two processes at once.
        self._last = self._draw(_RANDOM_BYTES)
        # A child that was forked off has the parent's last id, and may have its lock held by a thread that is gone.
        os.register_at_fork(after_in_child=self._begin_anew)

    def new_id(self) -> str:
        with self._lock:
            # Whole milliseconds, but for the least bits of a binary fraction.
            now_ms = round(self._clock.now().timestamp() * 1000)
            if now_ms > self._last >> _RANDOM_BITS:
                self._last = now_ms << _RANDOM_BITS | self._draw(_RANDOM_BYTES)
            else:
                self._last += 1 + self._draw(_STEP_BYTES)
            return f"{self._last:032x}"

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._random, self._used = b"", 0
        # Other random bits within the same millisecond: greater than the parent's last id, and not its next one.
        room = (1 << _RANDOM_BITS) - 1 - self._last % (1 << _RANDOM_BITS)
        self._last += self._draw(_RANDOM_BYTES) % (room + 1)

    def _draw(self, count: int) -> int:
        """Return `count` random bytes. They are asked of the system in blocks, and each is used once."""
        start, end = self._used, self._used + count
        if end > len(self._random):
            self._random, start, end = os.urandom(_BLOCK_BYTES), 0, count
        self._used = end
        return int.from_bytes(self._random[start:end])
