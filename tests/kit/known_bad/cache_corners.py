"""Caches that are right in most examples, and wrong for a class of names, values, numbers or moments."""

import time
import unicodedata
import zlib
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, cast

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs_memory.cache import MemoryCache
from songs_plugins import AdapterSpec

from .caches import cache


def as_it_is(text: str) -> str:
    """Return a name as it is."""
    return text


def without_case(text: str) -> str:
    """Return a name as a collation compares it."""
    return text.casefold()


def trimmed(text: str) -> str:
    """Return a name as a column of a fixed width returns it."""
    return text.strip()


def normalised(text: str) -> str:
    """Return a name in a normal form."""
    return unicodedata.normalize("NFC", text)


def cut(text: str) -> str:
    """Return as much of a name as a column holds."""
    return text[:1024]


def number(text: str) -> str:
    """Return the number that a name is, where it is one."""
    return str(int(text)) if text.isdecimal() else text


def hashed(text: str) -> str:
    """Return a short hash of a name."""
    return str(zlib.crc32(text.encode("utf-8", "surrogatepass")))


def replaced(text: str) -> str:
    """Return a name as it can be sent."""
    return text.encode("utf-8", "replace").decode()


def sent(text: str) -> str:
    """Send a name as it is, if that can be done."""
    return text.encode().decode()


def _named(*, group: Callable[[str], str] = as_it_is, key: Callable[[str], str] = as_it_is) -> AdapterSpec:
    """Return the descriptor of a cache that changes names first."""

    class _Named(MemoryCache):
        def get(self, given: str, of: str) -> Hit | Miss:
            return super().get(group(given), key(of))

        def fill(self, given: str, of: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
            super().fill(group(given), key(of), value, lease=lease, ttl_s=ttl_s)

        def invalidate(self, groups: Collection[str]) -> str:
            return super().invalidate([group(each) for each in groups])

    return cache(_Named)


keys_have_no_case = _named(key=without_case)
groups_are_trimmed = _named(group=trimmed)
keys_are_normalised = _named(key=normalised)
long_groups_are_cut = _named(group=cut)
keys_are_numbers = _named(key=number)
groups_are_short_hashes = _named(group=hashed)
surrogates_are_replaced = _named(key=replaced)
surrogates_are_errors = _named(group=sent)


class _Values(MemoryCache):
    """Values that a defect changes before they are kept, or when they come back."""

    def kept(self, value: bytes) -> bytes:
        """Return what to keep."""
        return value

    def returned(self, value: bytes) -> Any:
        """Return what to return."""
        return value

    def get(self, group: str, key: str) -> Hit | Miss:
        """Return it."""
        found = super().get(group, key)
        return replace(found, value=self.returned(found.value)) if isinstance(found, Hit) else found

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep it."""
        super().fill(group, key, self.kept(value), lease=lease, ttl_s=ttl_s)


class _Buffers(_Values):
    def returned(self, value: bytes) -> Any:
        """Return the driver's own buffer."""
        return bytearray(value)


value_is_a_buffer = cache(_Buffers)


class _Lines(_Values):
    def kept(self, value: bytes) -> bytes:
        """Take a newline at the end for that of the protocol."""
        return value.removesuffix(b"\n")


value_is_a_line = cache(_Lines)


class _Megabyte(_Values):
    def kept(self, value: bytes) -> bytes:
        """Keep a megabyte at most."""
        return value[: 1 << 20]


long_value_is_cut = cache(_Megabyte)


class _TextLeases(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Hand out a lease as text."""
        found = super().get(group, key)
        return replace(found, lease=cast("Any", (found.lease or b"").hex())) if isinstance(found, Miss) else found

    def fill(self, group: str, key: str, value: bytes, *, lease: Any, ttl_s: float) -> None:
        """Take it as text, or as whatever it is."""
        known = bytes.fromhex(lease) if isinstance(lease, str) else lease
        super().fill(group, key, value, lease=known, ttl_s=ttl_s)


lease_is_text = cache(_TextLeases)


class _Renews(MemoryCache):
    """Takes a lease that is old for one that is good, if a defect says so."""

    def __init__(self, clock: Clock, *, max_bytes: int) -> None:
        super().__init__(clock, max_bytes=max_bytes)
        self.voided: dict[str, list[tuple[bytes, float]]] = {}

    def renews(self, _others: int, _age_s: float) -> bool:
        """Return whether an old lease is good after so many invalidations, and so long after its own."""
        return False

    def invalidate(self, groups: Collection[str]) -> str:
        """Note which leases are void from now on."""
        for name in groups:
            known = self._opened().get(name)
            noted = self.voided.setdefault(name, [])
            noted.append((known.lease if known else b"", self._clock.monotonic_s()))
        return super().invalidate(groups)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Compare with those."""
        noted = self.voided.get(group, [])
        for n, (old, at_s) in enumerate(noted):
            if old == lease and self.renews(len(noted) - n, self._clock.monotonic_s() - at_s):
                lease = getattr(self.get(group, key), "lease", lease)
                break
        super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


class _SixteenBits(_Renews):
    def renews(self, others: int, _age_s: float) -> bool:
        """Count invalidations in two bytes."""
        return others % 65_536 == 0


invalidations_end_at_65535 = cache(_SixteenBits)


class _Tombstones(_Renews):
    def renews(self, _others: int, age_s: float) -> bool:
        """Forget after an hour that a group was invalidated."""
        return age_s > 3600


invalidation_is_forgotten = cache(_Tombstones)


class _LeasesByKey(MemoryCache):
    """Has a lease for each key, and voids a hundred."""

    def __init__(self, clock: Clock, *, max_bytes: int) -> None:
        super().__init__(clock, max_bytes=max_bytes)
        self._handed: dict[str, dict[str, bytes]] = {}

    def get(self, group: str, key: str) -> Hit | Miss:
        """Note the lease of the key."""
        found = super().get(group, key)
        if isinstance(found, Miss) and found.lease:
            self._handed.setdefault(group, {})[key] = found.lease
        return found

    def invalidate(self, groups: Collection[str]) -> str:
        """Forget the notes of some keys."""
        for group in groups:
            for key in list(self._handed.get(group, {}))[:100]:
                del self._handed[group][key]
        return super().invalidate(groups)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Believe what was noted."""
        if self._handed.get(group, {}).get(key) == lease:
            lease = getattr(MemoryCache.get(self, group, key), "lease", lease)
        super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


a_hundred_leases_are_voided = cache(_LeasesByKey)


class _Thousand(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Send as many groups as a command takes."""
        return super().invalidate(list(groups)[:1000])


a_thousand_groups_are_invalidated = cache(_Thousand)


class _EndsAtUnknown(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """End with the first group that is not there."""
        unknown = [n for n, each in enumerate(groups) if each not in self._opened()]
        return super().invalidate(list(groups)[: unknown[0] if unknown else None])


unknown_group_ends_the_invalidation = cache(_EndsAtUnknown)


class _NeedsAList(MemoryCache):
    def invalidate(self, groups: Collection[str]) -> str:
        """Take groups for a list."""
        return super().invalidate(cast("list[str]", groups)[:])


groups_have_to_be_a_list = cache(_NeedsAList)


def _kept_for(time_of: Callable[[float], float]) -> AdapterSpec:
    """Return the descriptor of a cache that keeps entries for another time."""

    class _KeptFor(MemoryCache):
        def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
            super().fill(group, key, value, lease=lease, ttl_s=time_of(ttl_s))

    return cache(_KeptFor)


FOR_EVER = 10e9
no_time_is_for_ever = _kept_for(lambda ttl_s: ttl_s if ttl_s > 0 else FOR_EVER)
hardly_any_time_is_for_ever = _kept_for(lambda ttl_s: ttl_s if ttl_s > 0.001 or ttl_s <= 0 else FOR_EVER)
a_month_is_a_date = _kept_for(lambda ttl_s: ttl_s if ttl_s <= 30 * 86_400 else 0.0)


class _LastMoment(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Return an entry at the moment at which its time is over."""
        kept = self._opened().get(group)
        entry = kept and kept.entries.get(key)
        if entry and self._clock.monotonic_s() == entry.expires_at_s:
            return Hit(entry.value, self._identity)
        return super().get(group, key)


entry_lives_a_moment_longer = cache(_LastMoment)


class _TimeOfDay:
    """A clock whose monotonic time is the time of day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sleep = clock.sleep

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic_s(self) -> float:
        return self.now().timestamp()


entries_go_by_the_wall_clock = cache(lambda clock, max_bytes: MemoryCache(_TimeOfDay(clock), max_bytes=max_bytes))


class _FirstTime(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Change the value of an entry that is there, and leave its time."""
        kept = self._opened().get(group)
        entry = kept and kept.entries.get(key)
        left_s = entry.expires_at_s - self._clock.monotonic_s() if entry else 0.0
        super().fill(group, key, value, lease=lease, ttl_s=max(ttl_s, left_s))


second_fill_keeps_the_time = cache(_FirstTime)


class _Once(MemoryCache):
    filled: ClassVar[set[tuple[str, str, bytes]]] = set()

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Take a lease once for each key, though its entry is gone."""
        if (group, key, lease) not in self.filled:
            self.filled.add((group, key, lease))
            super().fill(group, key, value, lease=lease, ttl_s=ttl_s)


entry_is_filled_once = cache(_Once)


class _OneBuffer(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Keep the question where every thread puts it."""
        self._asked = group, key
        time.sleep(0)
        return super().get(*self._asked)


threads_get_answers_of_others = cache(_OneBuffer)


class _LooksTwice(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Look whether it is open, and then use what may be gone by now."""
        if self._groups is None:
            raise CacheUnavailable
        time.sleep(0.0001)
        self._groups.get(group)
        return super().get(group, key)


closing_in_use_leaks = cache(_LooksTwice)


class _OpensAgain(MemoryCache):
    def open(self) -> None:
        """Begin anew, under the same name, though it is open."""
        identity = self._identity if self._groups is not None else None
        self.close()
        super().open()
        self._identity = identity or self._identity


opening_again_empties = cache(_OpensAgain)
