"""The rate limiter."""

import math
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict

MAX_PURGED: Final = 1_000
"""How many ended windows of one length a hit clears away at most: some tenths of a millisecond."""


@dataclass(slots=True)
class _Window:
    ends_at_s: float
    hits: int
    name: str
    changes: int = 0


class MemoryLimiter:
    """Counts hits in this process's memory, in windows that begin with a bucket's first hit.

    Hits clear away windows that have ended. Before `open` and after `close` a hit raises `LimiterUnavailable`.

    Args:
        clock: Its monotonic clock ends windows.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By length: windows of one length end in the order in which they began.
        self._windows: dict[int, OrderedDict[tuple[str, int], _Window]] | None = None
        self._due_s = math.inf
        # Names of windows: what no other limiter begins with, and a number.
        self._first_name = secrets.token_hex(8)
        self._named = 0

    def open(self) -> None:
        with self._lock:
            if self._windows is None:
                self._windows = {}

    def close(self) -> None:
        with self._lock:
            self._windows = None

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        with self._lock:
            if self._windows is None:
                raise LimiterUnavailable("The limiter is not open.")
            now_s = self._clock.monotonic_s()
            if now_s >= self._due_s:
                self._due_s = min((_purged(each, now_s) for each in self._windows.values()), default=math.inf)
            windows = self._windows.get(limit.window_s)
            if windows is None:
                windows = self._windows[limit.window_s] = OrderedDict()
            amount = limit.amount
            key = (bucket, amount)
            window = windows.get(key)
            if window is None or now_s >= window.ends_at_s:
                self._named += 1
                window = windows[key] = _Window(now_s + limit.window_s, 0, f"{self._first_name}-{self._named}")
                windows.move_to_end(key)
                self._due_s = min(self._due_s, window.ends_at_s)
            allowed = window.hits < amount
            if allowed:
                window.hits += 1
                window.changes += 1
            reset_s = window.ends_at_s - now_s
            if reset_s > limit.window_s:
                # The difference of two floats may come out a little above what was added.
                reset_s = float(limit.window_s)
            return Verdict(allowed, amount - window.hits, reset_s, window.name, window.changes)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        with self._lock:
            if self._windows is None:
                raise LimiterUnavailable("The limiter is not open.")
            windows = self._windows.get(limit.window_s)
            found = windows and windows.get((bucket, limit.amount))
            if found and found.name == window and found.hits > 0:
                found.hits -= 1
                found.changes += 1


def _purged(windows: OrderedDict[tuple[str, int], _Window], now_s: float) -> float:
    """Clear away windows that have ended, and return when the first of the others ends."""
    for _ in range(MAX_PURGED):
        window = next(iter(windows.values()), None)
        if window is None:
            return math.inf
        if now_s < window.ends_at_s:
            return window.ends_at_s
        windows.popitem(last=False)
    return now_s
