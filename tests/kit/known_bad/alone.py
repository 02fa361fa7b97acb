"""Adapters that break one clause, in a way that shows under no other."""

import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Self, cast

from songs.errors import DuplicateSong, KeyReused, ScopeViolation, SongNotFound, TransientConflict
from songs.model import Rating, RatingStats, Song
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.query import SongFilter
from songs_memory.cache import MemoryCache, _Group
from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs
from songs_memory.state import State, View
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterSpec, Port

from .caches import cache
from .planting import PlantedStorage, PlantedUnit, adapter, memory_of, repositories, storage

EVERYTHING: Final = SongFilter()


class _Contended(PlantedStorage):
    """Knows whether a unit had to wait for another writer."""

    contended = False
    waiting = 0

    def lock(self, deadline: Deadline) -> None:
        """Note whether somebody else has the lock, and who waits for it."""
        waits = not self._writing.acquire(blocking=False)
        if waits:
            self.waiting += 1
            try:
                super().lock(deadline)
            finally:
                self.waiting -= 1
        self.contended = waits

    def publish(self, before: State, after: State) -> None:
        """Take a moment, so that others do come."""
        time.sleep(0.001)
        super().publish(before, after)


def _waited(view: View) -> bool:
    return cast("_Contended", cast("MemoryUnit", view)._source).contended


def _contended(**kinds: type) -> AdapterSpec:
    members = {name: property(kind) for name, kind in kinds.items()}
    return storage(type("Planted", (_Contended,), {"unit": type("Planted", (MemoryUnit,), members)}))


class _ScopeOfTheLast(MemoryUnit):
    def __enter__(self) -> Self:
        """Keep the scope where all units find it."""
        super().__enter__()
        memory_of(self)["scope"] = self._scope
        return self

    def writing(self) -> State:
        """Ask for that scope."""
        own, self._scope = self._scope, memory_of(self)["scope"]
        try:
            return super().writing()
        finally:
            self._scope = own


scope_is_kept_in_the_storage = storage(type("Planted", (PlantedStorage,), {"unit": _ScopeOfTheLast}))


class _SilentlyRefuses(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Change nothing where nothing may be changed, and say nothing of it."""
        try:
            return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache)
        except ScopeViolation:
            return self.read()


read_unit_ignores_a_write = repositories(coherence=_SilentlyRefuses)


class _LateConflict(PlantedUnit):
    def end(self, *, failed: bool) -> None:
        """Commit a change of a song, and call that a conflict where others wait for their turn."""
        before, after, source = self._before, self._held, cast("_Contended", self._source)
        late = False
        if before is not None and after is not None and before.songs is not after.songs:
            # Time for others to come, or it would not show on a busy machine.
            give_up_at_s = time.monotonic() + 0.05
            while not source.waiting and time.monotonic() < give_up_at_s:
                time.sleep(0.001)
            late = source.waiting > 0 and len(before.songs.rows) == len(after.songs.rows)
        super().end(failed=failed)
        if late and not failed:
            raise TransientConflict


conflict_comes_after_the_commit = storage(type("Planted", (_Contended,), {"unit": _LateConflict}))


class _PadSpace(MemorySongs):
    def add(self, song: Song) -> None:
        """Compare titles as columns do that are padded with spaces."""
        for each in self.find(EVERYTHING, limit=2000):
            if each.title != song.title and each.title.rstrip() == song.title.rstrip() and each.artist == song.artist:
                self._view.writing()
                raise DuplicateSong
        super().add(song)


identity_ignores_spaces = repositories(songs=_PadSpace)


class _IdentityFirst(MemorySongs):
    def replace(self, song: Song, *, if_version: int) -> None:
        """Let the unique index speak before the version is compared."""
        other = self.identify([song.identity]).get(song.identity)
        if other is not None and other.id != song.id:
            self._view.writing()
            raise DuplicateSong
        super().replace(song, if_version=if_version)


duplicate_comes_before_the_version = repositories(songs=_IdentityFirst)


class _FromThePosition(MemorySongs):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Go on from the position at which a page ended, where one ended."""
        ends = memory_of(self._view)
        position = ends.get((song_filter, after_id)) if after_id is not None else None
        if position is None:
            page = super().find(song_filter, limit=limit, after_id=after_id, offset=offset)
        else:
            page = super().find(song_filter, limit=limit, offset=position + offset)
        if page and offset == 0 and (after_id is None or position is not None):
            ends[song_filter, page[-1].id] = (position or 0) + len(page)
        return page


cursor_is_a_position = repositories(songs=_FromThePosition)


class _NamesTheNew(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Answer with the id that was sent, whatever the key belongs to."""
        return replace(super().add(rating), rating_id=rating.id)


repeat_names_the_new_rating = repositories(ratings=_NamesTheNew)


class _NotesKeysFirst(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Note the key of a rating to a song that was never there."""
        noted, key = memory_of(self._view), (rating.user_id, rating.key)
        try:
            receipt = super().add(rating)
        except SongNotFound:
            noted.setdefault(key, rating)
            raise
        if rating.key is not None and noted.get(key, rating).song_id != rating.song_id:
            raise KeyReused
        return receipt


key_of_no_song_is_kept = repositories(ratings=_NotesKeysFirst)


class _Deletes(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Remember what was deleted."""
        memory_of(self._view).setdefault("deleted", set()).add(song_id)
        return super().delete(song_id, if_version=if_version)


class _Acknowledges(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Take a song for one that is still there, since its update raised nothing."""
        try:
            return super().add(rating)
        except SongNotFound:
            if rating.song_id in memory_of(self._view).get("deleted", ()):
                return RatingReceipt(RatingStats(), rating.id)
            raise


rating_of_a_deleted_song_is_acknowledged = repositories(songs=_Deletes, ratings=_Acknowledges)


class _Forgets(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Lose a rating without a key, when another writer was there, and acknowledge it."""
        before = self._view.reading()
        receipt = super().add(rating)
        if rating.key is None and _waited(self._view):
            self._view.stage(before)
        return receipt


ratings_at_once_are_lost = _contended(ratings=_Forgets)


class _Bytes(MemoryRatings):
    def stats(self, song_id: str) -> RatingStats | None:
        """Keep counters in one byte each."""
        found = super().stats(song_id)
        if found is None:
            return None
        n1, n2, n3, n4, n5 = (min(count, 255) for count in found.distribution)
        return RatingStats((n1, n2, n3, n4, n5))


counters_end_at_255 = repositories(ratings=_Bytes)


class _TwoWinnersAtOnce(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Take a caller that came at the same moment for the first as well."""
        found = super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)
        return Rotation.ROTATED if found is Rotation.RETRIED and _waited(self._view) else found


two_rotate_at_once = _contended(sessions=_TwoWinnersAtOnce)


class _BeginsOff(MemoryCoherence):
    def read(self) -> CoherenceRecord:
        """Begin with the cache off."""
        found = super().read()
        return replace(found, cache_on=False) if found.epoch == 1 else found


coherence_begins_with_the_cache_off = repositories(coherence=_BeginsOff)


class _ComesBack(MemoryCache):
    """Takes up the entries of a snapshot when it is opened, under new leases."""

    def __init__(self, clock: Clock, *, max_bytes: int) -> None:
        super().__init__(clock, max_bytes=max_bytes)
        self._snapshot: dict[str, Any] = {}

    def invalidate(self, groups: Collection[str]) -> str:
        """Take a snapshot before."""
        if self._groups is not None:
            self._snapshot |= {name: group.entries for name, group in self._groups.items() if group.entries}
        return super().invalidate(groups)

    def open(self) -> None:
        """Read the snapshot."""
        super().open()
        if self._groups is not None and not self._groups:
            self._groups = OrderedDict(
                (name, _Group(0, entries=entries.copy())) for name, entries in self._snapshot.items()
            )


restart_brings_entries_back = cache(_ComesBack)


class _ShortNames(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Look for the beginning of the key."""
        return super().get(group, key[:250])

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep it under the beginning of the key."""
        super().fill(group, key[:250], value, lease=lease, ttl_s=ttl_s)


long_keys_are_cut = cache(_ShortNames)


class _SameMillisecond:
    """Ids that are different in generators, and in milliseconds."""

    def __init__(self) -> None:
        self._secret = time.perf_counter_ns() & 0xFFFF_FFFF
        self._last = (0, 0)
        self._lock = threading.Lock()

    def new_id(self) -> str:
        """Count within the millisecond."""
        with self._lock:
            now_ms = max(time.time_ns() // 1_000_000, self._last[0])
            number = self._last[1] + 1 if now_ms == self._last[0] else 0
            self._last = (now_ms, number)
        return f"{now_ms:012x}{self._secret:08x}{number:012x}"


child_counts_like_its_parent = adapter(Port.IDS, _SameMillisecond)
