"""Caches that join a limiter on their server; all but one do so wrongly."""

import time
from dataclasses import replace
from typing import cast

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.ports.together import Together
from songs_memory.cache import MemoryCache
from songs_memory.limiter import MemoryLimiter
from songs_plugins import AdapterSpec

from . import cache_servers, caches, limiter_servers, limiters
from .backends import DriverError, served_by


class _Server(cache_servers.Server):
    """Can refuse what concerns entries."""

    refuses = False

    def refuse_entries(self) -> None:
        """Refuse it."""
        self.refuses = True

    def heal(self) -> None:
        """Refuse it no more."""
        super().heal()
        self.refuses = False


class _Cache(cache_servers.Served):
    """Joins any limiter on its server."""

    kind: type["_Together"]

    def stored(self, group: str, key: str) -> Hit | Miss:
        """Return what the server has, if it does not refuse."""
        if cast("_Server", self.server).refuses:
            raise CacheUnavailable
        return super().stored(group, key)

    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Return what asks both."""
        if isinstance(limiter, limiter_servers.Served) and limiter.server is self.server:
            return self.kind(self, limiter)
        return None


class _Together:
    """Asks the server once for both."""

    def __init__(self, cache: _Cache, limiter: MemoryLimiter) -> None:
        self.cache = cache
        self.limiter = limiter

    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do both."""
        try:
            verdict, stored = self.cache.server.do(lambda: self.both(bucket, limit, group, key))
        except DriverError as error:
            return self.without_answer(error)
        return verdict, None if stored is None else self.read(group, stored, key)

    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do on the server what is to be done there."""
        return self.hit(bucket, limit), self.get(group, key)

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count."""
        return MemoryLimiter.hit(self.limiter, bucket, limit)

    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Look the entry up."""
        try:
            return self.cache.stored(group, key)
        except CacheUnavailable:
            return None

    def read(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Return what the answer means."""
        return self.cache.read(group, stored, key)

    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Say so."""
        raise LimiterUnavailable from error


def _planted(kind: type[_Together], cache: type[_Cache] = _Cache) -> tuple[AdapterSpec, AdapterSpec]:
    server = _Server()
    joining = type(cache.__name__, (cache,), {"kind": kind})
    return served_by(server, caches.SPEC, joining), served_by(server, limiters.SPEC, limiter_servers.Served)


right = _planted(_Together)


class _Twice(_Together):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count it when it comes and when it is answered."""
        super().hit(bucket, limit)
        return super().hit(bucket, limit)


hit_counts_twice = _planted(_Twice)


class _CountsHits(_Together):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Leave the count to whoever fills what is missing."""
        found = self.get(group, key)
        if isinstance(found, Miss):
            return Verdict(allowed=True, remaining=limit.amount - 1, reset_s=1.0), found
        return self.hit(bucket, limit), found


miss_is_not_counted = _planted(_CountsHits)


class _ForTheGroup(_Together):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Count what is asked for instead of who asks."""
        return super().both(group, limit, group, key)


hit_counts_for_the_group = _planted(_ForTheGroup)


class _CountsBeside(_Together):
    def __init__(self, cache: _Cache, limiter: MemoryLimiter) -> None:
        super().__init__(cache, MemoryLimiter(cache._clock))
        self.limiter.open()


there_are_two_counts = _planted(_CountsBeside)


class _ReadsThenWrites(_Together):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count on what was read a moment ago."""
        windows = (self.limiter._windows or {}).get(limit.window_s)
        window = windows and windows.get((bucket, limit.amount))
        hits = window.hits if window else 0
        time.sleep(0.0001)
        if window:
            window.hits = hits
        return super().hit(bucket, limit)


hits_at_once_are_lost = _planted(_ReadsThenWrites)


class _Remembers(_Together):
    def __init__(self, cache: _Cache, limiter: MemoryLimiter) -> None:
        super().__init__(cache, limiter)
        self._known: dict[tuple[str, str], Hit] = {}

    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Look among what was found before."""
        found = self._known.get((group, key)) or super().get(group, key)
        if isinstance(found, Hit):
            self._known[group, key] = found
        return found


entries_are_kept_beside = _planted(_Remembers)


class _NoCase(_Together):
    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Write names in another way than the cache does."""
        return super().get(group.lower(), key)


names_are_written_otherwise = _planted(_NoCase)


class _Believes(_Together):
    def read(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Unpack without looking."""
        if isinstance(stored, Miss):
            return stored
        return replace(stored, value=stored.value.removeprefix(cache_servers.FORMAT))


rubbish_is_a_hit = _planted(_Believes)


class _NoExpiry(_Together):
    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Look at what there is, and not at its time."""
        kept = None if self.cache._groups is None else self.cache._groups.get(group)
        entry = None if kept is None else kept.entries.get(key)
        return Hit(entry.value, self.cache._identity) if entry else super().get(group, key)


time_to_live_is_ignored = _planted(_NoExpiry)


class _NoLease(_Together):
    def read(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Leave it to `get` to hand out leases."""
        return replace(stored, lease=None) if isinstance(stored, Miss) else super().read(group, stored, key)


miss_has_no_lease = _planted(_NoLease)


class _LeaseOfItsOwn(_Together):
    def read(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Hand out a lease that was made here."""
        return replace(stored, lease=b"mine") if isinstance(stored, Miss) else super().read(group, stored, key)


lease_is_good_for_nothing = _planted(_LeaseOfItsOwn)


class _Trusts(_Cache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Take a lease that was made there for the right one."""
        found = MemoryCache.get(self, group, key)
        if lease == b"mine" and isinstance(found, Miss) and found.lease is not None:
            lease = found.lease
        super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


lease_survives_an_invalidation = _planted(_LeaseOfItsOwn, _Trusts)


class _OnlyIfAllowed(_Together):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Spare the server the look-up for those who are refused."""
        verdict = self.hit(bucket, limit)
        return verdict, self.get(group, key) if verdict.allowed else None


refused_hit_brings_nothing = _planted(_OnlyIfAllowed)


class _MissIfRefused(_Together):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Say that there is nothing for those who are refused."""
        verdict = self.hit(bucket, limit)
        return verdict, self.get(group, key) if verdict.allowed else Miss(lease=None)


refused_hit_misses = _planted(_MissIfRefused)


class _LeaksOfTheCache(_Together):
    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Let the cache's error through."""
        return self.cache.stored(group, key)


cache_error_leaks = _planted(_LeaksOfTheCache)


class _SilenceMisses(_Together):
    def get(self, group: str, key: str) -> Hit | Miss | None:
        """Take what is unknown for what is missing."""
        return super().get(group, key) or Miss(lease=None)


unknown_entry_is_a_miss = _planted(_SilenceMisses)


class _EntryFirst(_Together):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Allow the hit uncounted where the cache does not answer."""
        found = self.get(group, key)
        if found is None:
            return Verdict(allowed=True, remaining=limit.amount - 1, reset_s=1.0), None
        return self.hit(bucket, limit), found


hit_without_the_cache_is_not_counted = _planted(_EntryFirst)


class _CallsItTheCache(_Together):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Blame the cache."""
        raise CacheUnavailable from error


outage_is_called_the_caches = _planted(_CallsItTheCache)


class _Leaks(_Together):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Let the driver's error through."""
        raise error


driver_error_leaks = _planted(_Leaks)


class _Allows(_Together):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Allow what was not counted."""
        return Verdict(allowed=True, remaining=0, reset_s=1.0), None


silence_allows = _planted(_Allows)


class _OneAfterTheOther(_Together):
    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Ask the server twice."""
        verdict = self.limiter.hit(bucket, limit)
        try:
            return verdict, self.cache.get(group, key)
        except CacheUnavailable:
            return verdict, None


server_is_asked_twice = _planted(_OneAfterTheOther)


class _JoinsNobody(_Cache):
    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Join nobody."""
        return None


no_limiter_is_joined = _planted(_Together, _JoinsNobody)


class _JoinsTheOpen(_Cache):
    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Look for what only an open cache has."""
        return None if self._groups is None else super().together_with(limiter)


closed_limiter_is_not_joined = _planted(_Together, _JoinsTheOpen)


class _KeepsTheFirst(_Cache):
    first: Together | None = None

    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Join once and for all."""
        self.first = self.first or super().together_with(limiter)
        return self.first


first_limiter_stands_for_all = _planted(_Together, _KeepsTheFirst)


class _LooksAtMembers(_Cache):
    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Take whatever has a server for one of these limiters."""
        of_these = cast("MemoryLimiter", limiter)
        return self.kind(self, of_these) if getattr(limiter, "server", None) is self.server else None


limiter_is_known_by_its_members = _planted(_Together, _LooksAtMembers)


class _ExpectsItsOwn(_Cache):
    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Ask any limiter for its server."""
        known = cast("limiter_servers.Served", limiter)
        return super().together_with(limiter) if known.server is self.server else None


foreign_limiter_is_an_error = _planted(_Together, _ExpectsItsOwn)


class _Nameless(_Together):
    def read(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Return the entry, and not whose it is."""
        found = super().read(group, stored, key)
        return found and replace(found, identity="")


entry_does_not_say_whose_it_is = _planted(_Nameless)
