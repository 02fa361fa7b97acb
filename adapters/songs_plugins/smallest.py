"""The smallest storage: all that the port asks for, in plain dictionaries, gone when it is closed.

`songs adapters new` begins a storage with a copy of this file, which passes the contract kit as it is. Put a backend in
the place of the dictionaries piece by piece, and it stays green. The law is in the docstrings of `songs.ports`.

`SmallestTables` is one state of everything. A unit that writes works on a copy, which becomes the state when its block
ends cleanly: that is all of committing, rolling back, isolation and snapshots. Writers take turns, readers wait for
nobody. A repository looks things up, decides (`songs_plugins.decisions`), and writes by the unit's `put` and `remove`.
"""

import threading
from bisect import insort
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final, Self

from songs.errors import DuplicateSong, SongNotFound, StorageClosed, StorageUnavailable
from songs.model import DifficultyTotals, Rating, RatingStats, Session, Song, SongIdentity, User, name_key
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.ports.storage import Scope, StorageCapabilities
from songs.query import SongFilter
from songs_plugins import AdapterSpec, Port, hookimpl
from songs_plugins.decisions import check_version, decide_rotation, is_new, replaceable, sort_out, stored_as
from songs_plugins.documents import Record
from songs_plugins.guarded_unit import GuardedUnit
from songs_plugins.scans import FoldedSong, beyond, matching, page

KEYS_FREED: Final = 1000
"""How many ratings of deleted songs a write forgets: with all at once, deleting would take longer for more (SNG-14)."""


@dataclass(kw_only=True, slots=True)
class SmallestTables:
    """One state of everything that is stored, and what it is looked up by. A published state does not change."""

    songs: dict[str, FoldedSong] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    identities: dict[SongIdentity, str] = field(default_factory=dict)
    ratings: dict[str, dict[str, Rating]] = field(default_factory=dict)
    stats: dict[str, RatingStats] = field(default_factory=dict)
    keys: dict[tuple[str, str | None], Rating] = field(default_factory=dict)
    deleted: list[Rating] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    coherence: CoherenceRecord = field(default_factory=lambda: CoherenceRecord(epoch=1, cache_on=True))
    _own: set[str] = field(default_factory=set, init=False)  # songs whose ratings no other state shares

    def copy(self) -> Self:
        """Return a state that can be changed without changing this one."""
        return type(self)(**{each.name: copy(getattr(self, each.name)) for each in fields(self) if each.init})

    def keyed(self, rating: Rating) -> Rating | None:
        """Return the rating to which the key of `rating` belongs, or None; the keys of deleted songs are free."""
        found = self.keys.get((rating.user_id, rating.key))
        return found if found and self.ratings.get(found.song_id, {}).get(found.id) is found else None

    def put(self, *records: Record) -> None:
        """Store records that are new, or take the places of those with their ids."""
        for record in records:
            match record:
                case Song():
                    self._put_song(record)
                case Rating():
                    self._put_rating(record)
                case User():
                    self.users[record.id] = record
                    self.names[record.name_key] = record.id
                case Session():
                    self.sessions[record.id] = record
                case CoherenceRecord():
                    self.coherence = record

    def remove(self, kind: type[Record], *ids: str) -> None:
        """Remove songs, users or sessions, which are there, with what belongs to them."""
        for record_id in ids:
            if kind is Song:
                self._remove_song(record_id)
            elif kind is User:
                del self.names[self.users.pop(record_id).name_key]
                self.sessions = {each.id: each for each in self.sessions.values() if each.user_id != record_id}
            else:
                del self.sessions[record_id]

    def _put_song(self, song: Song) -> None:
        before = self.songs.get(song.id)
        if before is None:
            insort(self.order, song.id)
            self.ratings[song.id] = {}
            self.stats[song.id] = RatingStats()
            self._own.add(song.id)
        else:
            del self.identities[before.song.identity]
        self.songs[song.id] = FoldedSong.of(song)
        self.identities[song.identity] = song.id

    def _remove_song(self, song_id: str) -> None:
        del self.identities[self.songs.pop(song_id).song.identity], self.stats[song_id]
        self.order.remove(song_id)
        self._own.discard(song_id)
        self.deleted += self.ratings.pop(song_id).values()
        self._free_keys()

    def _put_rating(self, rating: Rating) -> None:
        if rating.song_id not in self._own:
            self.ratings[rating.song_id] = self.ratings[rating.song_id].copy()
            self._own.add(rating.song_id)
        self.ratings[rating.song_id][rating.id] = rating
        self.stats[rating.song_id] = self.stats[rating.song_id].plus(rating.value)
        if rating.key is not None:
            self.keys[rating.user_id, rating.key] = rating
        self._free_keys()

    def _free_keys(self) -> None:
        for rating in self.deleted[-KEYS_FREED:]:
            if self.keys.get((rating.user_id, rating.key)) is rating:
                del self.keys[rating.user_id, rating.key]
        del self.deleted[-KEYS_FREED:]


class SmallestRepository:
    """A repository, in one unit of work."""

    def __init__(self, unit: "SmallestUnit") -> None:
        self._unit = unit


class SmallestSongs(SmallestRepository):
    """The songs."""

    def get(self, song_id: str) -> Song | None:
        found = self._unit.reading().songs.get(song_id)
        return None if found is None else found.song

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        tables = self._unit.reading()
        return {each: tables.songs[tables.identities[each]].song for each in identities if each in tables.identities}

    def add(self, song: Song) -> None:
        if self.add_many((song,)):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        tables = self._unit.writing()
        stored = {each.id: tables.songs[each.id].song.identity for each in songs if each.id in tables.songs}
        new, refused = sort_out([(each, each.identity) for each in songs], stored=stored, taken=tables.identities)
        self._unit.put(*new)
        return refused

    def replace(self, song: Song, *, if_version: int) -> None:
        tables = self._unit.writing()
        if replaceable(self.get(song.id), song, if_version=if_version) is None:
            return
        if tables.identities.get(song.identity, song.id) != song.id:
            raise DuplicateSong
        self._unit.put(song)

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        self._unit.writing()
        stored = self.get(song_id)
        if stored is None:
            return False
        check_version(stored.version, if_version)
        self._unit.remove(Song, song_id)
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        tables = self._unit.reading()
        songs = (tables.songs[each] for each in beyond(tables.order, after_id))
        return page(matching(songs, song_filter), limit=limit, offset=offset)

    def count(self, song_filter: SongFilter) -> int:
        return sum(1 for _ in matching(self._unit.reading().songs.values(), song_filter))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        found = matching(self._unit.reading().songs.values(), SongFilter(level=level))
        difficulties = [each.difficulty_milli for each in found]
        return DifficultyTotals(len(difficulties), sum(difficulties))


class SmallestRatings(SmallestRepository):
    """The ratings."""

    def add(self, rating: Rating) -> RatingReceipt:
        tables = self._unit.writing()
        events = tables.ratings.get(rating.song_id)
        if events is None:
            raise SongNotFound
        rating_id = stored_as(rating, same_id=rating.id in events, keyed=tables.keyed(rating))
        if rating_id is None:
            self._unit.put(rating)
        return RatingReceipt(tables.stats[rating.song_id], rating_id or rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        return self._unit.reading().stats.get(song_id)

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        events = self._unit.reading().ratings.get(song_id, {})
        return page((events[each] for each in beyond(sorted(events), after_id)), limit=limit)


class SmallestUsers(SmallestRepository):
    """The users."""

    def get(self, user_id: str) -> User | None:
        return self._unit.reading().users.get(user_id)

    def by_name(self, name: str) -> User | None:
        return self.get(self._unit.reading().names.get(name_key(name), ""))

    def add(self, user: User) -> None:
        tables = self._unit.writing()
        if is_new(user, same_id=tables.users.get(user.id), taken=user.name_key in tables.names):
            self._unit.put(user)

    def replace(self, user: User, *, if_version: int) -> None:
        stored = replaceable(self._unit.writing().users.get(user.id), user, if_version=if_version)
        if stored is not None:
            self._unit.put(replace(user, name=stored.name))

    def delete(self, user_id: str) -> bool:
        if user_id not in self._unit.writing().users:
            return False
        self._unit.remove(User, user_id)
        return True

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        users = self._unit.reading().users
        return page((users[each] for each in beyond(sorted(users), after_id)), limit=limit)


class SmallestSessions(SmallestRepository):
    """The sessions."""

    def add(self, session: Session) -> None:
        if session.id not in self._unit.writing().sessions:
            self._unit.put(session)

    def get(self, session_id: str) -> Session | None:
        return self._unit.reading().sessions.get(session_id)

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        stored = self._unit.writing().sessions.get(session_id)
        rotation, rotated = decide_rotation(
            stored, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
        )
        if rotated is not None:
            self._unit.put(rotated)
        elif rotation is Rotation.REUSED:
            self._unit.remove(Session, session_id)
        return rotation

    def delete(self, session_id: str) -> None:
        if session_id in self._unit.writing().sessions:
            self._unit.remove(Session, session_id)

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        sessions = self._unit.writing().sessions.values()
        found = page((each.id for each in sessions if each.user_id == user_id and each.id != keep_id), limit=limit)
        self._unit.remove(Session, *found)
        return len(found)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        sessions = self._unit.writing().sessions.values()
        found = page((each.id for each in sessions if each.expires_at <= at), limit=limit)
        self._unit.remove(Session, *found)
        return len(found)


class SmallestCoherence(SmallestRepository):
    """The coherence record."""

    def read(self) -> CoherenceRecord:
        return self._unit.reading().coherence

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        tables = self._unit.writing()
        if tables.coherence.epoch == expected_epoch:
            self._unit.put(CoherenceRecord(expected_epoch + 1, cache_on, cache))
        return tables.coherence


class SmallestUnit(GuardedUnit[SmallestTables]):
    """A unit of work: on the published tables where it reads, on a copy of them where it writes."""

    def __init__(self, storage: "SmallestStorage", scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._storage = storage
        self._before: SmallestTables | None = None
        self.songs = SmallestSongs(self)
        self.ratings = SmallestRatings(self)
        self.users = SmallestUsers(self)
        self.sessions = SmallestSessions(self)
        self.coherence = SmallestCoherence(self)

    def put(self, *records: Record) -> None:
        """Store records of one kind: all that a write stores. To write elsewhere too, take `reading()` before."""
        self.reading().put(*records)

    def remove(self, kind: type[Record], *ids: str) -> None:
        """Remove records of one kind: all that a write removes."""
        self.reading().remove(kind, *ids)

    def _begin(self) -> SmallestTables:
        if self._scope is Scope.READ:
            return self._storage.tables()
        if not self._storage.writing.acquire(timeout=self.left_s):
            raise StorageUnavailable("Others were writing until the deadline; nothing was changed. Try again.")
        try:
            self._before = self._storage.tables()
            return self._before.copy()
        except BaseException:
            self._storage.writing.release()
            raise

    def _end(self, held: SmallestTables, *, commit: bool) -> None:
        if self._scope is Scope.READ:
            return
        try:
            if commit:
                self._storage.publish(self._before, held)
        finally:
            self._storage.writing.release()


class SmallestStorage:
    """The storage. Thread-safe."""

    # What is not declared is not tested, and is counted in the kit's report.
    capabilities = StorageCapabilities(durable=False, shared=False, transactions=True, snapshot_reads=True)

    def __init__(self) -> None:
        self._tables: SmallestTables | None = None
        self._publishing = threading.Lock()
        self.writing = threading.Lock()

    def open(self) -> None:
        with self._publishing:
            if self._tables is None:
                self._tables = SmallestTables()

    def prepare(self) -> None:
        self.tables()

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> SmallestUnit:
        self.tables()
        return SmallestUnit(self, scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        self.tables()

    def close(self) -> None:
        with self._publishing:
            self._tables = None

    def tables(self) -> SmallestTables:
        """Return the state that was published last; raise StorageClosed where the storage is not open."""
        tables = self._tables
        if tables is None:
            raise StorageClosed
        return tables

    def publish(self, before: SmallestTables | None, after: SmallestTables) -> None:
        """Put the state `after` in the place of `before`; raise StorageClosed if it was closed since, too."""
        with self._publishing:
            if self._tables is not before:
                raise StorageClosed
            self._tables = after


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Describe the storage: the hook of the entry point."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="smallest",
            summary="plain dictionaries in this process's memory",
            factory=lambda _settings, _context: SmallestStorage(),
            capabilities=SmallestStorage.capabilities,
        )
    ]
