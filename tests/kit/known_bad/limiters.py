"""Limiters that are wrong."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict
from songs_memory.limiter import MemoryLimiter
from songs_memory.plugin import songs_adapters
from songs_plugins import AdapterContext, AdapterSpec, Port

from .planting import changed

SPEC = next(spec for spec in songs_adapters() if spec.port is Port.LIMITER)


def limiter(kind: Callable[[Clock], MemoryLimiter]) -> AdapterSpec:
    """Return the descriptor of a limiter class."""

    def factory(settings: object, context: AdapterContext) -> MemoryLimiter:
        return kind(context.clock)

    return changed(SPEC, factory)


class _OneMore(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Allow one hit more."""
        return super().hit(bucket, replace(limit, amount=limit.amount + 1))


one_hit_more = limiter(_OneMore)


class _ReadsThenWrites(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count on what was read a moment ago."""
        windows = (self._windows or {}).get(limit.window_s)
        window = windows and windows.get((bucket, limit.amount))
        hits = window.hits if window else 0
        time.sleep(0.0001)
        if window:
            window.hits = hits
        return super().hit(bucket, limit)


hits_are_lost = limiter(_ReadsThenWrites)


class _RefusedCount(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Begin the window anew with each refused hit."""
        verdict = super().hit(bucket, limit)
        if not verdict.allowed and self._windows is not None:
            self._windows[limit.window_s][bucket, limit.amount].ends_at_s = self._clock.monotonic_s() + limit.window_s
        return verdict


refused_hits_prolong_the_window = limiter(_RefusedCount)


class _NegativeRemaining(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Say what was left before this hit."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, remaining=verdict.remaining + verdict.allowed)


remaining_is_off_by_one = limiter(_NegativeRemaining)


class _ResetAtWhen(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Say at what time of the day the window ends, instead of in how many seconds."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, reset_s=verdict.reset_s + self._clock.now().timestamp())


reset_is_a_time_of_day = limiter(_ResetAtWhen)


class _Endless(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Use windows that do not end."""
        verdict = super().hit(bucket, replace(limit, window_s=10**9))
        return replace(verdict, reset_s=float(limit.window_s))


window_never_ends = limiter(_Endless)


class _Sliding(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Forget the window half-way."""
        verdict = super().hit(bucket, limit)
        if verdict.reset_s < limit.window_s / 2 + 1 and self._windows is not None:
            del self._windows[limit.window_s][bucket, limit.amount]
            return super().hit(bucket, limit)
        return verdict


window_ends_early = limiter(_Sliding)


class _WallClock:
    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self.sleep = clock.sleep

    def monotonic_s(self) -> float:
        return self.now().timestamp()


windows_go_by_the_wall_clock = limiter(lambda clock: MemoryLimiter(_WallClock(clock)))


class _OneBucket(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Cut long names."""
        return super().hit(bucket[:64], limit)


long_names_are_cut = limiter(_OneBucket)


class _OneLimit(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count all limits of a bucket that are equally high together."""
        verdict = super().hit(bucket, replace(limit, window_s=60))
        return replace(verdict, reset_s=min(verdict.reset_s, float(limit.window_s)))


limits_share_a_bucket = limiter(_OneLimit)


class _Keeps(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Keep a note of every bucket."""
        self.__dict__.setdefault("notes", []).append(bucket * 10)
        return super().hit(bucket, limit)


ended_windows_are_kept = limiter(_Keeps)


class _Leaks(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Raise what the driver raised."""
        try:
            return super().hit(bucket, limit)
        except LimiterUnavailable:
            raise ConnectionError from None


driver_error_leaks = limiter(_Leaks)


class _OneName(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Name windows after their buckets."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, window=f"{limit.amount}:{limit.window_s}:{hash(bucket)}")


windows_are_named_after_buckets = limiter(_OneName)


class _NamesFromOne(MemoryLimiter):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._first_name = "window"

    def close(self) -> None:
        """Begin to number windows anew, as a program that was restarted does."""
        super().close()
        self._named = 0


window_names_come_again = limiter(_NamesFromOne)


class _Nameless(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Name the window of an allowed hit alone."""
        verdict = super().hit(bucket, limit)
        return verdict if verdict.allowed else replace(verdict, window="")


refused_hits_have_no_window = limiter(_Nameless)


class _SerialIsHits(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Take the number of hits for the serial, which a hit that is given back lowers."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, serial=limit.amount - verdict.remaining)


serial_goes_back = limiter(_SerialIsHits)


class _KeepsHits(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Give nothing back."""


nothing_is_given_back = limiter(_KeepsHits)


def _found(limiter: MemoryLimiter, bucket: str, limit: RateLimit) -> Any:
    windows = (limiter._windows or {}).get(limit.window_s)
    return windows and windows.get((bucket, limit.amount))


class _GivesToAnyWindow(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Give back to whatever window there is."""
        found = _found(self, bucket, limit)
        super().give_back(bucket, limit, found.name if found else window)


the_next_window_gets_it_back = limiter(_GivesToAnyWindow)


class _GivesTooMuch(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Let the count fall below none."""
        super().give_back(bucket, limit, window)
        found = _found(self, bucket, limit)
        if found is not None and found.hits == 0:
            found.hits = -1


more_is_given_back_than_was_used = limiter(_GivesTooMuch)


class _BeginsAnew(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Forget a window of which nothing is used."""
        super().give_back(bucket, limit, window)
        found = _found(self, bucket, limit)
        if found is not None and found.hits == 0 and self._windows is not None:
            del self._windows[limit.window_s][bucket, limit.amount]


window_that_was_given_back_is_forgotten = limiter(_BeginsAnew)
