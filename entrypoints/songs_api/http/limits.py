"""Rate limits: the shared limiter, a local count beside it, and what clients are told."""

import math
import threading
from collections import OrderedDict
from typing import Final, NamedTuple

from songs.errors import LimiterUnavailable, RateLimited
from songs.meter import UNMETERED, Meter
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.services.read_ahead import Ahead
from songs_api.http.exchange import Exchange

MAX_BUCKETS: Final = 10_000
SAME_WINDOW_S: Final = 1.0
"""How much later than expected a window may seem to end and be the same one: an answer takes time to arrive."""
_ALMOST_S: Final = 0.001


class _Left(NamedTuple):
    """What this process may still allow of a bucket, and until when; `parted`: that is no more than its own part."""

    hits: int
    ends_s: float
    parted: bool = False


_ENDED: Final = _Left(0, 0.0)


class Limit:
    """Counts requests in buckets, under one policy. Thread-safe.

    What the limiter last said was left of a bucket is remembered until its window ends. When the limiter does not
    answer, this process still allows its part of that, and when it has lost its counts and begins a bucket's window
    anew, no more than what was left: neither an outage nor a flush gives anybody a fresh start. Of a bucket that this
    process has not seen it allows its part of the limit, or of what is meant for an outage.

    Args:
        name: Of the policy; of characters that need no quoting.
        limiter: Counts.
        rate: The limit; None allows everything without asking.
        clock: Tells when a remembered window is over.
        outage_divisor: In an outage each process allows no more than this fraction of the limit.
        processes: How many there are, each of which has an equal part in an outage: rounded down, so that all of them
            together allow no more than the limit, but to no less than one of a bucket that it has not seen.
        shared: Whether the limiter counts for other processes too, somewhere else. One that counts in this process's
            memory neither fails nor forgets, so that what it said need not be remembered.
        meter: Told when the limiter does not answer.
    """

    def __init__(
        self,
        name: str,
        limiter: RateLimiter,
        rate: RateLimit | None,
        clock: Clock,
        *,
        outage_divisor: int = 1,
        processes: int = 1,
        shared: bool = True,
        meter: Meter = UNMETERED,
    ) -> None:
        self._limiter = limiter
        self._rate = rate
        self._clock = clock
        self._shared = shared
        self._meter = meter
        self._prefix = f"{name}:"
        self._quoted = f'"{name}"'
        self._processes = processes
        self._alone = max(1, rate.amount // max(outage_divisor, processes)) if rate else 0
        self._left: OrderedDict[str, _Left] = OrderedDict()
        self._lock = threading.Lock()
        self.policy = f"{self._quoted};q={rate.amount};w={rate.window_s}" if rate else ""

    def charge(self, exchange: Exchange, bucket: str) -> None:
        """Count one request, and tell its client what is left, as draft-ietf-httpapi-ratelimit-headers-10 has it.

        A request that is `ahead` asks the limiter together with the cache.

        Raises:
            RateLimited: It is one too many.
        """
        verdict = self.hit(bucket, exchange.ahead)
        if verdict is None:
            return
        state = f"{self._quoted};r={verdict.remaining};t={math.ceil(verdict.reset_s)}"
        if exchange.charged is None:
            exchange.charged = self.policy, state
        else:
            policies, states = exchange.charged
            exchange.charged = f"{policies}, {self.policy}", f"{states}, {state}"
        if not verdict.allowed:
            raise RateLimited(verdict.reset_s)

    def hit(self, bucket: str, ahead: Ahead | None = None) -> Verdict | None:
        """Count one hit and return what came of it; None where there is no limit."""
        if self._rate is None:
            return None
        try:
            verdict = (self._limiter if ahead is None else ahead).hit(self._prefix + bucket, self._rate)
        except LimiterUnavailable:
            self._meter.limiter_unavailable()
            return self._counted_here(bucket, self._rate)
        return self._compared(bucket, verdict) if self._shared else verdict

    def _compared(self, bucket: str, verdict: Verdict) -> Verdict:
        now_s = self._clock.monotonic_s()
        ends_s = now_s + verdict.reset_s
        with self._lock:
            left, known_ends_s, parted = self._left.get(bucket, _ENDED)
            if known_ends_s - now_s < _ALMOST_S:
                self._keep(bucket, _Left(verdict.remaining, ends_s))
                return verdict
            if ends_s <= known_ends_s + SAME_WINDOW_S:
                self._keep(bucket, _Left(min(left, verdict.remaining), known_ends_s, parted))
                return verdict
            # The limiter has forgotten the window that this process remembers.
            remaining = min(max(0, left - 1), verdict.remaining)
            self._keep(bucket, _Left(remaining, known_ends_s, parted))
        return Verdict(left > 0 and verdict.allowed, remaining, known_ends_s - now_s)

    def _counted_here(self, bucket: str, rate: RateLimit) -> Verdict:
        now_s = self._clock.monotonic_s()
        with self._lock:
            left, ends_s, parted = self._left.get(bucket, _ENDED)
            if ends_s - now_s < _ALMOST_S:
                left, ends_s = self._alone, now_s + rate.window_s
            elif not parted:
                left = min(left // self._processes, self._alone)
            remaining = max(0, left - 1)
            self._keep(bucket, _Left(remaining, ends_s, parted=True))
        return Verdict(left > 0, remaining, ends_s - now_s)

    def _keep(self, bucket: str, left: _Left) -> None:
        kept = self._left
        kept[bucket] = left
        kept.move_to_end(bucket)
        while len(kept) > MAX_BUCKETS:
            kept.popitem(last=False)
