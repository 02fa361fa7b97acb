"""Availability of the cache and the limiter: one line when one stops, with the consequences, one when it is back."""

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from songs.errors import CacheUnavailable, LimiterUnavailable, SongsError
from songs.ports.cache import Cache, CountAndGet, Hit, Miss
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, RateLimiter, Verdict

FIRST_SETTLE_S: Final = 5.0
LONGEST_SETTLE_S: Final = 60.0
_CACHE_LOST: Final = (
    "The cache %r does not answer (%s): reads go to the storage until it does, and take longer; the first write waits "
    "until no process believes old entries any more. Nothing is lost, and nothing old is answered."
)
_CACHE_BACK: Final = "The cache %r answers again, after %.0f s: reads use it as soon as all processes agree."
_LIMITER_LOST: Final = (
    "The limiter %r does not answer (%s): until it does, the service counts on its own and allows what was left of "
    "every limit, so that users and addresses may be refused sooner."
)
_LIMITER_BACK: Final = "The limiter %r answers again, after %.0f s: all processes count together."
_ASKED: Final = "availability:asked"
_log: Final = logging.getLogger(__name__)


class Availability:
    """Notes whether one adapter responds, and logs changes. Thread-safe.

    It is back when it has responded and not failed for a while: at first `FIRST_SETTLE_S`, and twice as long each time
    that it stops again within a minute, to `LONGEST_SETTLE_S`. So an adapter that comes and goes is two lines a minute.

    Args:
        name: The adapter's name.
        lost: The line when it stops, with fields for the name and the reason.
        back: The line when it is back, with fields for the name and the length of the outage.
        clock: The monotonic clock of this process.

    Attributes:
        is_lost: Whether it is lost, as last logged.
    """

    def __init__(self, name: str, lost: str, back: str, clock: Clock) -> None:
        self.is_lost = False
        self._name = name
        self._lost = lost
        self._back = back
        self._clock = clock
        self._lock = threading.Lock()
        self._settle_s = FIRST_SETTLE_S
        self._lost_at_s = 0.0
        self._failed_at_s = 0.0
        self._back_at_s: float | None = None

    def failed(self, error: SongsError | None = None) -> None:
        """Note that it did not answer."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._failed_at_s = now_s
            if self.is_lost:
                return
            self.is_lost = True
            self._lost_at_s = now_s
            again = self._back_at_s is not None and now_s - self._back_at_s < LONGEST_SETTLE_S
            self._settle_s = min(2 * self._settle_s, LONGEST_SETTLE_S) if again else FIRST_SETTLE_S
        _log.warning(self._lost, self._name, error.detail if error is not None else "its entries are not there")

    def worked(self) -> None:
        """Note that it answered. Needs not be called while `is_lost` is false."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if not self.is_lost or now_s - self._failed_at_s < self._settle_s:
                return
            self.is_lost = False
            self._back_at_s = now_s
            lost_s = now_s - self._lost_at_s
        _log.warning(self._back, self._name, lost_s)


@dataclass(frozen=True, slots=True)
class Availabilities:
    """The availabilities of cache and limiter; None for one in this process' memory, which always responds."""

    cache: Availability | None
    limiter: Availability | None

    @classmethod
    def of(cls, clock: Clock, *, cache: str | None, limiter: str | None) -> "Availabilities":
        """Return those of a cache and a limiter by their names; None for one that always answers."""
        return cls(
            None if cache is None else Availability(cache, _CACHE_LOST, _CACHE_BACK, clock),
            None if limiter is None else Availability(limiter, _LIMITER_LOST, _LIMITER_BACK, clock),
        )

    def ask(self, cache: Cache, limiter: RateLimiter) -> None:
        """Ask both once, so that one that does not answer is logged at the start, not when somebody needs it.

        Args:
            cache: What `watched_cache` returned.
            limiter: What `watched_limiter` returned.
        """
        if self.cache is not None:
            with contextlib.suppress(CacheUnavailable):
                cache.ping()
        if self.limiter is not None:
            with contextlib.suppress(LimiterUnavailable):
                limiter.hit(_ASKED, RateLimit(1, 1))

    def watched_cache(self, cache: Cache) -> Cache:
        """Return the cache, with every call noted."""
        if self.cache is None:
            return cache
        return cast("Cache", _Watched(cache, self.cache, CacheUnavailable, ("ping", "get", "fill", "invalidate")))

    def watched_limiter(self, limiter: RateLimiter) -> RateLimiter:
        """Return the limiter, with every call noted."""
        if self.limiter is None:
            return limiter
        return cast("RateLimiter", _Watched(limiter, self.limiter, LimiterUnavailable, ("hit", "give_back")))

    def watched_counts(self, count_and_get: CountAndGet) -> CountAndGet:
        """Return `CountingCache.count_and_get` of a cache, with every call noted for cache and limiter apart."""
        cache, limiter = self.cache, self.limiter
        if cache is None or limiter is None:
            return count_and_get

        def noted(bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
            try:
                verdict, entry = count_and_get(bucket, limit, group, key)
            except LimiterUnavailable as error:
                limiter.failed(error)
                raise
            if limiter.is_lost:
                limiter.worked()
            if entry is None:
                cache.failed()
            elif cache.is_lost:
                cache.worked()
            return verdict, entry

        return noted


class _Watched:
    """A proxy for an adapter that notes some calls; other attributes are the adapter's own."""

    def __init__(
        self, adapter: object, availability: Availability, unavailable: type[SongsError], calls: tuple[str, ...]
    ) -> None:
        self._adapter = adapter
        for name in dir(adapter):
            if name in calls:
                setattr(self, name, _noted(getattr(adapter, name), availability, unavailable))
            elif not name.startswith("_"):
                setattr(self, name, getattr(adapter, name))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the adapter has
        return getattr(self._adapter, name)


def _noted(call: Callable[..., Any], availability: Availability, unavailable: type[SongsError]) -> Callable[..., Any]:
    def noted(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - those of the call
        try:
            result = call(*arguments, **keywords)
        except unavailable as error:
            availability.failed(error)
            raise
        if availability.is_lost:
            availability.worked()
        return result

    return noted
