"""Limiters that are right in most examples, and wrong for a class of names, numbers or moments."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict
from songs_memory.limiter import MemoryLimiter, _Window
from songs_plugins import AdapterSpec

from . import cache_corners
from .limiters import limiter


def _named(change: Callable[[str], str]) -> AdapterSpec:
    """Return the descriptor of a limiter that changes names first."""

    class _Named(MemoryLimiter):
        def hit(self, bucket: str, limit: RateLimit) -> Verdict:
            return super().hit(change(bucket), limit)

        def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
            super().give_back(change(bucket), limit, window)

    return limiter(_Named)


buckets_are_trimmed = _named(cache_corners.trimmed)
buckets_are_numbers = _named(cache_corners.number)
buckets_are_short_hashes = _named(cache_corners.hashed)
ports_are_dropped = _named(lambda bucket: bucket.partition(":")[0])
surrogates_are_replaced = _named(cache_corners.replaced)
surrogates_are_errors = _named(cache_corners.sent)


class _Joins(MemoryLimiter):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._first: dict[str, tuple[str, RateLimit]] = {}

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count whatever reads the same as one."""
        return super().hit(*self._first.setdefault(f"{bucket}{limit.amount}{limit.window_s}", (bucket, limit)))


bucket_and_limit_run_together = limiter(_Joins)


def _limited(change: Callable[[RateLimit], RateLimit]) -> AdapterSpec:
    """Return the descriptor of a limiter that changes limits first."""

    class _Limited(MemoryLimiter):
        def hit(self, bucket: str, limit: RateLimit) -> Verdict:
            return super().hit(bucket, change(limit))

        def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
            super().give_back(bucket, change(limit), window)

    return limiter(_Limited)


nothing_is_at_least_one = _limited(lambda limit: replace(limit, amount=max(1, limit.amount)))
amounts_end_at_2_147_483_647 = _limited(lambda limit: replace(limit, amount=min(limit.amount, 2**31 - 1)))


def _window(of: MemoryLimiter, bucket: str, limit: RateLimit) -> _Window | None:
    windows = (of._windows or {}).get(limit.window_s)
    return windows.get((bucket, limit.amount)) if windows else None


class _NothingIsUnlimited(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Take a limit of nothing for none."""
        verdict = super().hit(bucket, limit)
        return verdict if limit.amount else replace(verdict, allowed=True)


nothing_is_unlimited = limiter(_NothingIsUnlimited)


class _SixteenBits(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count in two bytes."""
        verdict = super().hit(bucket, limit)
        window = _window(self, bucket, limit)
        if window is not None:
            window.hits %= 65_536
        return verdict


counts_end_at_65535 = limiter(_SixteenBits)


class _OneByte(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Number changes in one byte."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, serial=verdict.serial % 256)


serials_end_at_255 = limiter(_OneByte)


class _Thousand(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Have room for a thousand buckets."""
        verdict = super().hit(bucket, limit)
        windows = (self._windows or {})[limit.window_s]
        if len(windows) > 1000:
            windows.popitem(last=False)
        return verdict


the_oldest_of_a_thousand_is_forgotten = limiter(_Thousand)


class _MonthIsADate(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Let a window end at once that is longer than thirty days."""
        verdict = super().hit(bucket, limit)
        window = _window(self, bucket, limit)
        if window is not None and limit.window_s > 30 * 86_400:
            window.ends_at_s = 0.0
        return verdict


a_month_is_a_date = limiter(_MonthIsADate)


class _Refills(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Allow a hit again for each tenth of the window."""
        verdict = super().hit(bucket, limit)
        window = _window(self, bucket, limit)
        tenths = int(10 * (1 - verdict.reset_s / limit.window_s))
        if verdict.allowed or window is None or tenths <= getattr(self, f"_{window.name}", 0):
            return verdict
        setattr(self, f"_{window.name}", tenths)
        window.hits -= limit.amount // 10
        return super().hit(bucket, limit)


hits_are_refilled = limiter(_Refills)


def _resets(change: Callable[[float], float]) -> AdapterSpec:
    """Return the descriptor of a limiter that says something else of the time that is left."""

    class _Resets(MemoryLimiter):
        def hit(self, bucket: str, limit: RateLimit) -> Verdict:
            verdict = super().hit(bucket, limit)
            return replace(verdict, reset_s=change(verdict.reset_s))

    return limiter(_Resets)


reset_is_rounded_up = _resets(lambda left_s: float(math.ceil(left_s)))
reset_is_rounded_down = _resets(lambda left_s: float(math.floor(left_s)) or left_s)


class _LastMoment(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count a hit at the very end in the window that ends."""
        window = _window(self, bucket, limit)
        if window is not None and window.ends_at_s == self._clock.monotonic_s():
            left = limit.amount - window.hits
            return Verdict(left > 0, max(0, left - 1), 0.001, window.name, window.changes)
        return super().hit(bucket, limit)


window_lasts_a_moment_longer = limiter(_LastMoment)


class _Revives(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Let a window that has ended go on for what is given back."""
        super().give_back(bucket, limit, window)
        found = _window(self, bucket, limit)
        if found is not None and found.name == window:
            found.ends_at_s = max(found.ends_at_s, self._clock.monotonic_s() + 1)


giving_back_revives_a_window = limiter(_Revives)


class _Numbers(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Return what the server did: numbers."""
        verdict = super().hit(bucket, limit)
        return replace(verdict, allowed=cast("Any", int(verdict.allowed)))


verdict_is_a_number = limiter(_Numbers)


class _SendsText(MemoryLimiter):
    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Send the name as it is."""
        super().give_back(bucket, limit, cache_corners.sent(window))


strange_window_is_an_error = limiter(_SendsText)


class _OneBuffer(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Keep the question where every thread puts it."""
        self._asked = bucket, limit
        time.sleep(0)
        return super().hit(*self._asked)


threads_get_verdicts_of_others = limiter(_OneBuffer)


class _LooksTwice(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Look whether it is open, and then use what may be gone by now."""
        if self._windows is None:
            raise LimiterUnavailable
        time.sleep(0.0001)
        self._windows.get(limit.window_s)
        return super().hit(bucket, limit)


closing_in_use_leaks = limiter(_LooksTwice)


class _OpensAgain(MemoryLimiter):
    def open(self) -> None:
        """Begin anew, though it is open."""
        self.close()
        super().open()


opening_again_forgets = limiter(_OpensAgain)
