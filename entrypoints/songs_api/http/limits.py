"""The default rate limit, and what holds while the limiter does not answer."""

import threading
from collections import OrderedDict
from typing import Final

from songs.errors import LimiterUnavailable, RateLimited
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter

MAX_BUCKETS: Final = 10_000


class DefaultLimit:
    """Counts each request in its bucket. Thread-safe.

    What the limiter last said was left of a bucket is remembered. When the limiter does not answer, that is what this
    process still allows in the window, so that an outage gives nobody a fresh start; a bucket that this process has
    not seen starts with the whole limit.

    Args:
        limiter: Counts.
        limit: The limit; None allows everything without asking.
        clock: Tells when a remembered window is over.
    """

    def __init__(self, limiter: RateLimiter, limit: RateLimit | None, clock: Clock) -> None:
        self._limiter = limiter
        self._limit = limit
        self._clock = clock
        self._left: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def charge(self, bucket: str) -> None:
        """Count one request.

        Raises:
            RateLimited: It is one too many.
        """
        if self._limit is None:
            return
        try:
            verdict = self._limiter.hit(bucket, self._limit)
        except LimiterUnavailable:
            self._charge_here(bucket, self._limit)
            return
        self._remember(bucket, verdict.remaining, self._clock.monotonic_s() + verdict.reset_s)
        if not verdict.allowed:
            raise RateLimited(verdict.reset_s)

    def _charge_here(self, bucket: str, limit: RateLimit) -> None:
        now_s = self._clock.monotonic_s()
        with self._lock:
            left, ends_s = self._left.get(bucket, (0, now_s))
            if ends_s <= now_s:
                left, ends_s = limit.amount, now_s + limit.window_s
            self._keep(bucket, max(0, left - 1), ends_s)
        if left <= 0:
            raise RateLimited(ends_s - now_s)

    def _remember(self, bucket: str, left: int, ends_s: float) -> None:
        with self._lock:
            self._keep(bucket, left, ends_s)

    def _keep(self, bucket: str, left: int, ends_s: float) -> None:
        self._left[bucket] = (left, ends_s)
        self._left.move_to_end(bucket)
        while len(self._left) > MAX_BUCKETS:
            self._left.popitem(last=False)
