"""Rate limits: the shared limiter, what is remembered of its windows, and what clients are told."""

import math
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from songs.errors import LimiterUnavailable, RateLimited
from songs.meter import UNMETERED, Meter
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.services.read_ahead import Ahead
from songs_api.http.exchange import Exchange

MAX_BUCKETS: Final = 10_000
"""How many windows are remembered of each limit, at most."""
EARLY_S: Final = 1.0
"""How much earlier than a remembered window ended the next one may have begun, and be the next one: answers take time.
No more than a tenth of a window."""
_ALMOST_S: Final = 0.001


@dataclass(slots=True)
class _Window:
    """What this process knows of a bucket's window.

    Attributes:
        name: The limiter's; empty while the limiter has not counted in it.
        serial: How many changes the limiter had counted when it last answered.
        used: How many hits it had counted by then.
        uncounted: Allowed hits that it does not count: made while it did not answer, or lost. Below 0: it counts hits
            of before this window.
        ends_s: When the window ends.
        own: Whether the limiter's window is another one, of which `ends_s` says nothing.
        part: How many more this process allows while the limiter does not answer; None: it has not failed yet.
    """

    name: str
    serial: int
    used: int
    uncounted: int
    ends_s: float
    own: bool = False
    part: int | None = None

    @property
    def local_name(self) -> str:
        """What names this window in verdicts on hits that the limiter did not count; no limiter's name has a blank."""
        return f"local {self.ends_s}"


class Windows:
    """The windows that a process remembers, of one limit, at most `MAX_BUCKETS`. Not thread-safe.

    Those of which more than half is used are kept apart from the others, and each kind forgets the one that was hit the
    longest time ago. So whoever has many addresses, and hits from each a few times, makes room at the cost of windows
    of which little is known, and no bucket gains more than half of its limit by being forgotten, unless more than
    `MAX_BUCKETS` / 2 are more than half used up within one window.
    """

    def __init__(self, amount: int) -> None:
        self._half = amount // 2
        self._light: OrderedDict[str, _Window] = OrderedDict()
        self._heavy: OrderedDict[str, _Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def last(self, bucket: str) -> _Window | None:
        """Return what is known of a bucket's last window, whether it has ended or not."""
        return self._heavy.get(bucket) or self._light.get(bucket)

    def get(self, bucket: str, now_s: float) -> _Window | None:
        """Return what is known of a bucket's window, if that has not ended."""
        window = self.last(bucket)
        return window if window is not None and window.ends_s - now_s >= _ALMOST_S else None

    def keep(self, bucket: str, window: _Window) -> None:
        """Remember a window, or what has changed of it."""
        is_heavy = window.used + window.uncounted > self._half
        kept, other = (self._heavy, self._light) if is_heavy else (self._light, self._heavy)
        other.pop(bucket, None)
        kept[bucket] = window
        kept.move_to_end(bucket)
        while len(kept) > MAX_BUCKETS // 2:
            kept.popitem(last=False)


class Limit:
    """Counts requests in buckets, under one policy. Thread-safe.

    Of each window it is remembered how much was used, by the limiter's last word. A limiter that lost its counts, or
    came back with older ones, names another window or a serial that did not grow (LIM-7): the hits that it does not
    count any more are added to what it says, until the remembered window ends. So are the hits that this process
    allowed while the limiter did not answer. So neither an outage nor a flush, a restart or a failover lets a bucket
    have more than its limit through one process; each process remembers what it saw itself. While the limiter does not
    answer, a bucket that this process has not seen has this process's part of the limit.

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
        self._windows = Windows(rate.amount if rate else 0)
        self._lock = threading.Lock()
        self.policy = f"{self._quoted};q={rate.amount};w={rate.window_s}" if rate else ""

    def charge(self, exchange: Exchange, bucket: str) -> Verdict | None:
        """Count one request, and tell its client what is left, as draft-ietf-httpapi-ratelimit-headers-10 has it.

        A request that is `ahead` asks the limiter together with the cache.

        Raises:
            RateLimited: It is one too many.
        """
        verdict = self.hit(bucket, exchange.ahead)
        if verdict is None:
            return None
        state = f"{self._quoted};r={verdict.remaining};t={math.ceil(verdict.reset_s)}"
        if exchange.charged is None:
            exchange.charged = self.policy, state
        else:
            policies, states = exchange.charged
            exchange.charged = f"{policies}, {self.policy}", f"{states}, {state}"
        if not verdict.allowed:
            raise RateLimited(verdict.reset_s)
        return verdict

    def hit(self, bucket: str, ahead: Ahead | None = None) -> Verdict | None:
        """Count one hit and return what came of it; None where there is no limit."""
        rate = self._rate
        if rate is None:
            return None
        asked = self._limiter if ahead is None else ahead
        if not self._shared:
            return asked.hit(self._prefix + bucket, rate)
        with self._lock:
            now_s = self._clock.monotonic_s()
            window = self._windows.get(bucket, now_s)
            if window is not None and window.uncounted and window.used + window.uncounted >= rate.amount:
                # The limiter does not know, and would count a hit that is refused.
                return _verdict(window, allowed=False, remaining=0, now_s=now_s)
            known = (window.name, window.serial) if window else None
        try:
            verdict = asked.hit(self._prefix + bucket, rate)
        except LimiterUnavailable:
            self._meter.limiter_unavailable()
            return self._counted_here(bucket, rate)
        return self._compared(bucket, rate, verdict, known)

    def used(self, verdict: Verdict | None) -> int:
        """Return how many hits of a window were used when a hit was answered so; 0 where there is no limit."""
        return 0 if self._rate is None or verdict is None else self._rate.amount - verdict.remaining

    def give_back(self, bucket: str, verdict: Verdict | None) -> None:
        """Undo a hit that was allowed, as that verdict says, while its window lasts."""
        rate = self._rate
        if rate is None or verdict is None or not verdict.allowed:
            return
        with self._lock:
            window = self._windows.get(bucket, self._clock.monotonic_s())
            if window is not None and window.local_name == verdict.window:
                window.uncounted -= 1
                window.part = None if window.part is None else window.part + 1
                self._windows.keep(bucket, window)
                return
            if window is not None and window.name == verdict.window:
                window.used = max(0, window.used - 1)
                self._windows.keep(bucket, window)
        # What is not given back makes the limit stricter, which an outage may.
        with suppress(LimiterUnavailable):
            self._limiter.give_back(self._prefix + bucket, rate, verdict.window)

    def _compared(self, bucket: str, rate: RateLimit, verdict: Verdict, known: tuple[str, int] | None) -> Verdict:
        """Return the verdict of a limiter that may have lost its counts since this process asked it last.

        Args:
            bucket: What was hit.
            rate: The limit.
            verdict: What the limiter says.
            known: Name and serial of the window that was remembered when the limiter was asked.
        """
        used = rate.amount - verdict.remaining
        with self._lock:
            now_s = self._clock.monotonic_s()
            ends_s = now_s + verdict.reset_s
            window = self._windows.get(bucket, now_s)
            if window is None:
                self._windows.keep(bucket, self._begun(bucket, rate, verdict, now_s))
                return verdict
            if window.name == verdict.window:
                if not window.own:
                    window.ends_s = min(window.ends_s, ends_s)
                if known is not None and known[0] == verdict.window and _is_older(verdict, known[1]):
                    window.uncounted += max(0, window.used + verdict.allowed - used)
                    window.serial, window.used, window.own = verdict.serial, used, True
                elif verdict.serial > window.serial:
                    window.serial, window.used = verdict.serial, used
            elif known is not None and known[0] == window.name:
                # What it counts now, it counts from nothing.
                window.uncounted += window.used
                window.name, window.serial, window.used, window.own = verdict.window, verdict.serial, used, True
            else:
                # An answer from before another one, which this thread did not wait for.
                return verdict
            self._windows.keep(bucket, window)
            if not window.uncounted:
                return verdict
            left = rate.amount - used - window.uncounted
            if left >= verdict.remaining:
                return verdict
            return _verdict(window, allowed=verdict.allowed and left >= 0, remaining=max(0, left), now_s=now_s)

    def _begun(self, bucket: str, rate: RateLimit, verdict: Verdict, now_s: float) -> _Window:
        """Return the window that begins for this process with a hit: the limiter's, or one of its own.

        One of its own where the limiter's began in the middle of the one before, since it had lost that: if this
        process went by the limiter's alone, a bucket could have its limit twice between the ends of both.
        """
        used = rate.amount - verdict.remaining
        ends_s = now_s + verdict.reset_s
        before = self._windows.last(bucket)
        early_s = min(EARLY_S, rate.window_s / 10)
        if before is None or ends_s - rate.window_s >= before.ends_s - early_s:
            return _Window(verdict.window, verdict.serial, used, 0, ends_s)
        return _Window(verdict.window, verdict.serial, used, verdict.allowed - used, now_s + rate.window_s, own=True)

    def _counted_here(self, bucket: str, rate: RateLimit) -> Verdict:
        with self._lock:
            now_s = self._clock.monotonic_s()
            window = self._windows.get(bucket, now_s)
            if window is None:
                window = _Window("", 0, 0, 0, now_s + rate.window_s, own=True, part=self._alone)
            left = max(0, rate.amount - window.used - window.uncounted)
            if window.part is None:
                window.part = min(left // self._processes, self._alone)
            window.part = min(window.part, left)
            allowed = window.part > 0
            if allowed:
                window.part -= 1
                window.uncounted += 1
            self._windows.keep(bucket, window)
            return Verdict(allowed, window.part, window.ends_s - now_s, window.local_name)


def _is_older(verdict: Verdict, serial: int) -> bool:
    """Return whether a limiter that had counted to `serial` in this window when it was asked has counts from before."""
    return verdict.serial < serial + verdict.allowed


def _verdict(window: _Window, *, allowed: bool, remaining: int, now_s: float) -> Verdict:
    return Verdict(allowed, remaining, window.ends_s - now_s, window.name, window.serial)
