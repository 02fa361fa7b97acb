"""Caches that are wrong."""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs_memory.cache import MemoryCache
from songs_memory.plugin import songs_adapters
from songs_plugins import AdapterContext, AdapterSpec, Port

from .planting import changed

SPEC = next(spec for spec in songs_adapters() if spec.port is Port.CACHE)
MANY = 1 << 26


def cache(kind: Callable[..., MemoryCache]) -> AdapterSpec:
    """Return the descriptor of a cache class."""

    def factory(settings: object, context: AdapterContext) -> MemoryCache:
        return kind(context.clock, max_bytes=MANY)

    return changed(SPEC, factory)


class _AnyLease(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Ask for no lease."""
        found = super().get(group, key)
        super().fill(group, key, value, lease=getattr(found, "lease", lease), ttl_s=ttl_s)


stale_fill_counts = cache(_AnyLease)


class _Counts(MemoryCache):
    """A lease is the number of the invalidations that the cache remembers."""

    def __init__(self, clock: Clock, *, max_bytes: int) -> None:
        super().__init__(clock, max_bytes=max_bytes)
        self._generations: dict[str, int] = defaultdict(int)

    def close(self) -> None:
        """Lose everything."""
        super().close()
        self._generations.clear()

    def get(self, group: str, key: str) -> Hit | Miss:
        """Return the entry of this generation."""
        found = super().get(group, key)
        return found if isinstance(found, Hit) else replace(found, lease=str(self._generations[group]).encode())

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Compare generations."""
        found = super().get(group, key)
        if isinstance(found, Miss) and found.lease and lease == str(self._generations[group]).encode():
            super().fill(group, key, value, lease=found.lease, ttl_s=ttl_s)

    def invalidate(self, groups: Collection[str]) -> str:
        """Begin the next generation."""
        for group in groups:
            self._generations[group] += 1
        return super().invalidate(groups)


lease_is_a_counter = cache(_Counts)


class _ReusesLeases(_Counts):
    def invalidate(self, groups: Collection[str]) -> str:
        """Forget the group, and its counter with it."""
        for group in groups:
            self._generations.pop(group, None)
        return MemoryCache.invalidate(self, groups)


lease_is_handed_out_again = cache(_ReusesLeases)


class _FirstGroup(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Forget the first group alone."""
        return super().invalidate(list(groups)[:1])


one_group_is_invalidated = cache(_FirstGroup)


class _AllGroups(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Keep the entries, and void the leases."""
        kept = {} if self._groups is None else {name: self._groups[name] for name in groups if name in self._groups}
        identity = super().invalidate(groups)
        for name, group in kept.items():
            group.lease += b"-"
            if self._groups is not None:
                self._groups[name] = group
        return identity


invalidation_keeps_entries = cache(_AllGroups)


class _Survives(MemoryCache):
    def close(self) -> None:
        """Keep the entries, to have them again when it is opened."""
        self._kept = self._groups
        super().close()

    def open(self) -> None:
        """Take up the entries, and the leases, of before."""
        self._groups = getattr(self, "_kept", None) or self._groups
        super().open()


class _SnapshotBefore(_Survives):
    def invalidate(self, groups: Collection[str]) -> str:
        """Invalidate what is there, not what will be read from the snapshot."""
        snapshot = None if self._groups is None else self._groups.copy()
        identity = super().invalidate(groups)
        self._snapshot = snapshot
        return identity

    def close(self) -> None:
        """Go back to the snapshot."""
        super().close()
        self._kept = getattr(self, "_snapshot", None)


snapshot_brings_entries_back = cache(_SnapshotBefore)


class _NoExpiry(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep the entry for ever."""
        super().fill(group, key, value, lease=lease, ttl_s=10e9)


time_to_live_is_ignored = cache(_NoExpiry)


class _Early(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Take seconds for something shorter."""
        super().fill(group, key, value, lease=lease, ttl_s=ttl_s / 1000)


time_to_live_in_milliseconds = cache(_Early)


class _RunsTogether(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Look under one name made of both."""
        return super().get("", group + key)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Fill under one name made of both."""
        super().fill("", group + key, value, lease=lease, ttl_s=ttl_s)


names_run_together = cache(_RunsTogether)


class _Text(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Take the value for text."""
        super().fill(group, key, value.decode("utf-8", "replace").encode(), lease=lease, ttl_s=ttl_s)


value_is_taken_for_text = cache(_Text)


class _Leaks(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Raise what the driver raised."""
        try:
            return super().get(group, key)
        except CacheUnavailable:
            raise ConnectionError from None


driver_error_leaks = cache(_Leaks)


class _SameForAll(MemoryCache):
    def open(self) -> None:
        """Be called by the adapter's name."""
        super().open()
        self._identity = "memory"


every_cache_is_called_the_same = cache(_SameForAll)


class _NamelessHits(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Say whose a miss is alone."""
        found = super().get(group, key)
        return replace(found, identity="") if isinstance(found, Hit) else found


hit_does_not_say_whose_it_is = cache(_NamelessHits)


class _NamelessInvalidations(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Say nothing of who forgot."""
        super().invalidate(groups)
        return ""


invalidation_does_not_say_who_forgot = cache(_NamelessInvalidations)


class _NewAfterEach(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Be another one from then on."""
        self._identity = super().invalidate(groups) + "."
        return self._identity


each_invalidation_changes_the_identity = cache(_NewAfterEach)


class _KnowsItsSettings(MemoryCache):
    def open(self) -> None:
        """Be called by the settings that it was made with."""
        super().open()
        self._identity = f"memory {self._max_bytes}"

    def close(self) -> None:
        """Be closed."""
        super().close()
        self._identity = ""


identity_is_made_of_settings = cache(_KnowsItsSettings)
