"""Caches that count hits as well; all but one do so wrongly."""

import time
from collections import OrderedDict
from dataclasses import replace
from typing import ClassVar, cast

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict
from songs_memory.cache import MemoryCache, _Group
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


class _Counting(cache_servers.Served):
    """Asks the server once for a hit and an entry."""

    def __init__(self, server: _Server, clock: Clock) -> None:
        super().__init__(server, clock)
        self.limiter = limiter_servers.Served(server, clock)

    def open(self) -> None:
        """Open both."""
        super().open()
        self.limiter.open()

    def close(self) -> None:
        """Close both."""
        super().close()
        self.limiter.close()

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count alone."""
        return self.limiter.hit(bucket, limit)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Undo."""
        self.limiter.give_back(bucket, limit, window)

    def _opened(self) -> "OrderedDict[str, _Group]":
        if cast("_Server", self.server).refuses:
            raise CacheUnavailable
        return super()._opened()

    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do both."""
        try:
            verdict, stored = self.server.do(lambda: self.both(bucket, limit, group, key))
        except DriverError as error:
            return self.without_answer(error)
        return verdict, None if stored is None else self.meant(group, stored, key)

    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do on the server what is to be done there."""
        return self.count(bucket, limit), self.entry(group, key)

    def count(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count on the server."""
        return MemoryLimiter.hit(self.limiter, bucket, limit)

    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Look the entry up on the server."""
        try:
            return self.stored(group, key)
        except CacheUnavailable:
            return None

    def meant(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Return what the answer means."""
        return self.read(group, stored, key)

    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Say so."""
        raise LimiterUnavailable from error


def _planted(kind: type[_Counting]) -> tuple[AdapterSpec, AdapterSpec]:
    server = _Server()
    cache, limiter = (served_by(server, spec, kind) for spec in (caches.SPEC, limiters.SPEC))
    return cache, replace(limiter, factory=cache.factory, settings=cache.settings, sandbox=cache.sandbox)


right = _planted(_Counting)


class _Twice(_Counting):
    def count(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count it when it comes and when it is answered."""
        super().count(bucket, limit)
        return super().count(bucket, limit)


hit_counts_twice = _planted(_Twice)


class _CountsHits(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Leave the count to whoever fills what is missing."""
        found = self.entry(group, key)
        if isinstance(found, Miss):
            return Verdict(allowed=True, remaining=limit.amount - 1, reset_s=1.0), found
        return self.count(bucket, limit), found


miss_is_not_counted = _planted(_CountsHits)


class _ForTheGroup(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Count what is asked for instead of who asks."""
        return super().both(group, limit, group, key)


hit_counts_for_the_group = _planted(_ForTheGroup)


class _CountsBeside(_Counting):
    def __init__(self, server: _Server, clock: Clock) -> None:
        super().__init__(server, clock)
        self.beside = MemoryLimiter(clock)
        self.beside.open()

    def count(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count in another place than `hit` does."""
        return self.beside.hit(bucket, limit)


there_are_two_counts = _planted(_CountsBeside)


class _ReadsThenWrites(_Counting):
    def count(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count on what was read a moment ago."""
        windows = (self.limiter._windows or {}).get(limit.window_s)
        window = windows and windows.get((bucket, limit.amount))
        hits = window.hits if window else 0
        time.sleep(0.0001)
        if window:
            window.hits = hits
        return super().count(bucket, limit)


hits_at_once_are_lost = _planted(_ReadsThenWrites)


class _Remembers(_Counting):
    def __init__(self, server: _Server, clock: Clock) -> None:
        super().__init__(server, clock)
        self._known: dict[tuple[str, str], Hit] = {}

    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Look among what was found before."""
        found = self._known.get((group, key)) or super().entry(group, key)
        if isinstance(found, Hit):
            self._known[group, key] = found
        return found


entries_are_kept_beside = _planted(_Remembers)


class _NoCase(_Counting):
    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Write names in another way than the cache does."""
        return super().entry(group.lower(), key)


names_are_written_otherwise = _planted(_NoCase)


class _Believes(_Counting):
    def meant(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Unpack without looking."""
        if isinstance(stored, Miss):
            return stored
        return replace(stored, value=stored.value.removeprefix(cache_servers.FORMAT))


rubbish_is_a_hit = _planted(_Believes)


class _NoExpiry(_Counting):
    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Look at what there is, and not at its time."""
        kept = None if self._groups is None else self._groups.get(group)
        entry = None if kept is None else kept.entries.get(key)
        return Hit(entry.value, self._identity) if entry else super().entry(group, key)


time_to_live_is_ignored = _planted(_NoExpiry)


class _NoLease(_Counting):
    def meant(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Leave it to `get` to hand out leases."""
        return replace(stored, lease=None) if isinstance(stored, Miss) else super().meant(group, stored, key)


miss_has_no_lease = _planted(_NoLease)


class _LeaseOfItsOwn(_Counting):
    def meant(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Hand out a lease that was made here."""
        return replace(stored, lease=b"mine") if isinstance(stored, Miss) else super().meant(group, stored, key)


lease_is_good_for_nothing = _planted(_LeaseOfItsOwn)


class _Trusts(_LeaseOfItsOwn):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Take a lease that was made there for the right one."""
        found = MemoryCache.get(self, group, key)
        if lease == b"mine" and isinstance(found, Miss) and found.lease is not None:
            lease = found.lease
        super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


lease_survives_an_invalidation = _planted(_Trusts)


class _OnlyIfAllowed(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Spare the server the look-up for those who are refused."""
        verdict = self.count(bucket, limit)
        return verdict, self.entry(group, key) if verdict.allowed else None


refused_hit_brings_nothing = _planted(_OnlyIfAllowed)


class _MissIfRefused(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Say that there is nothing for those who are refused."""
        verdict = self.count(bucket, limit)
        return verdict, self.entry(group, key) if verdict.allowed else Miss(lease=None)


refused_hit_misses = _planted(_MissIfRefused)


class _LeaksOfTheCache(_Counting):
    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Let the cache's error through."""
        return self.stored(group, key)


cache_error_leaks = _planted(_LeaksOfTheCache)


class _SilenceMisses(_Counting):
    def entry(self, group: str, key: str) -> Hit | Miss | None:
        """Take what is unknown for what is missing."""
        return super().entry(group, key) or Miss(lease=None)


unknown_entry_is_a_miss = _planted(_SilenceMisses)


class _EntryFirst(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Allow the hit uncounted where the cache does not answer."""
        found = self.entry(group, key)
        if found is None:
            return Verdict(allowed=True, remaining=limit.amount - 1, reset_s=1.0), None
        return self.count(bucket, limit), found


hit_without_the_cache_is_not_counted = _planted(_EntryFirst)


class _CallsItTheCache(_Counting):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Blame the cache."""
        raise CacheUnavailable from error


outage_is_called_the_caches = _planted(_CallsItTheCache)


class _Leaks(_Counting):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Let the driver's error through."""
        raise error


driver_error_leaks = _planted(_Leaks)


class _Allows(_Counting):
    def without_answer(self, error: DriverError) -> tuple[Verdict, Hit | Miss | None]:
        """Allow what was not counted."""
        return Verdict(allowed=True, remaining=0, reset_s=1.0), None


silence_allows = _planted(_Allows)


class _OneAfterTheOther(_Counting):
    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Ask the server twice."""
        verdict = self.hit(bucket, limit)
        try:
            return verdict, self.get(group, key)
        except CacheUnavailable:
            return verdict, None


server_is_asked_twice = _planted(_OneAfterTheOther)


class _Renews(_Counting):
    def open(self) -> None:
        """Begin anew, though it is open."""
        self.close()
        super().open()


opening_again_forgets = _planted(_Renews)


limiter_has_a_factory_of_its_own = (right[0], served_by(_Server(), limiters.SPEC, _Counting))


class _OnePlace(_Counting):
    limiters: ClassVar[list[limiter_servers.Served]] = []

    def open(self) -> None:
        """Count with whichever was opened first."""
        super().open()
        self.limiters.append(self.limiter)
        self.limiter = self.limiters[0]

    def close(self) -> None:
        """Close the first as well."""
        super().close()
        self.limiters.clear()


counts_of_all_places_are_one = _planted(_OnePlace)


class _Nameless(_Counting):
    def meant(self, group: str, stored: Hit | Miss, key: str) -> Hit | Miss | None:
        """Return the entry, and not whose it is."""
        found = super().meant(group, stored, key)
        return found and replace(found, identity="")


entry_does_not_say_whose_it_is = _planted(_Nameless)


class _PingsTheServer(_Counting):
    def ping(self) -> str:
        """Ask for a sign of life, which says nothing of entries."""
        return self.server.ask(lambda: self._identity)


ping_asks_for_no_entry = _planted(_PingsTheServer)


class _BareVerdict(_Counting):
    def count(self, bucket: str, limit: RateLimit) -> Verdict:
        """Return what clients are told, without window and serial."""
        verdict = super().count(bucket, limit)
        return Verdict(verdict.allowed, verdict.remaining, verdict.reset_s)


verdict_has_no_window = _planted(_BareVerdict)


class _Trims(_Counting):
    def both(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Send arguments that are trimmed on their way."""
        return super().both(bucket.strip(), limit, group, key)


bucket_is_trimmed = _planted(_Trims)
