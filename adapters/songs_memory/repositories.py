"""The repositories: what a unit of work offers, on its view of the state."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from songs.errors import DuplicateSong, SongNotFound
from songs.model import DifficultyTotals, Rating, RatingStats, Session, Song, SongIdentity, User, name_key
from songs.ports.coherence import CoherenceRecord
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.query import SongFilter
from songs_memory.search import FoundSongs
from songs_memory.sorted_items import SortedItems
from songs_memory.state import View
from songs_memory.tables import SongRatings, SongTable
from songs_plugins.decisions import (
    ENDED_WITH_USER,
    check_key,
    check_version,
    decide_rotation,
    is_new,
    replaceable,
    sort_out,
)


class MemorySongs:
    """The songs, within one unit of work."""

    __slots__ = ("_found", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        self._found: tuple[SongTable, SongFilter, SortedItems[Song] | FoundSongs] | None = None

    def get(self, song_id: str) -> Song | None:
        return self._view.reading().songs.get(song_id)

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        table = self._view.reading().songs
        ids = {identity: table.identities.get(identity) for identity in identities}
        return {identity: table.rows[song_id].song for identity, song_id in ids.items() if song_id is not None}

    def add(self, song: Song) -> None:
        if self.add_many((song,)):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        state = self._view.writing()
        table = state.songs
        stored = {each.id: same.identity for each in songs if (same := table.get(each.id)) is not None}
        new, refused = sort_out([(each, each.identity) for each in songs], stored=stored, taken=table.identities)
        if new:
            self._view.stage(replace(state, songs=state.songs.plus(new)))
        return refused

    def replace(self, song: Song, *, if_version: int) -> None:
        state = self._view.writing()
        stored = replaceable(state.songs.get(song.id), song, if_version=if_version)
        if stored is None:
            return
        if state.songs.identities.get(song.identity, song.id) != song.id:
            raise DuplicateSong
        self._view.stage(replace(state, songs=state.songs.minus(stored).plus((song,))))

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        state = self._view.writing()
        stored = state.songs.get(song_id)
        if stored is None:
            return False
        check_version(stored.version, if_version)
        self._view.stage(replace(state, songs=state.songs.minus(stored), ratings=state.ratings.minus_song(song_id)))
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        table = self._view.reading().songs
        return tuple(self._matching(table, song_filter).page(limit=limit, after_id=after_id, offset=offset))

    def count(self, song_filter: SongFilter) -> int:
        return len(self._matching(self._view.reading().songs, song_filter))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        return self._view.reading().songs.totals(level)

    def _matching(self, table: SongTable, song_filter: SongFilter) -> SortedItems[Song] | FoundSongs:
        # A page is found and then counted: the second call of the two needs no second search.
        found = self._found
        if found is None or found[0] is not table or found[1] != song_filter:
            self._found = found = (table, song_filter, table.matching(song_filter))
        return found[2]


_UNRATED: Final = RatingStats()


class MemoryRatings:
    """The ratings, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, rating: Rating) -> RatingReceipt:
        state = self._view.writing()
        table = state.ratings
        ratings = table.of_song.get(rating.song_id)
        if ratings is None:
            if rating.song_id not in state.songs.rows:
                raise SongNotFound
            ratings = SongRatings()
        elif ratings.has(rating.id):
            return RatingReceipt(ratings.stats, rating.id)
        earlier = table.keyed(rating)
        if earlier is not None:
            check_key(rating, song_id=earlier.song_id, value=earlier.value)
            return RatingReceipt(ratings.stats, earlier.id)
        table = table.plus(rating, ratings)
        self._view.stage(state.rated(table))
        return RatingReceipt(table.of_song[rating.song_id].stats, rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        state = self._view.reading()
        ratings = state.ratings.of_song.get(song_id)
        if ratings is not None:
            return ratings.stats
        return _UNRATED if song_id in state.songs.rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        ratings = self._view.reading().ratings.of_song.get(song_id)
        return () if ratings is None else ratings.page(limit=limit, after_id=after_id)


class MemoryUsers:
    """The users, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, user_id: str) -> User | None:
        return self._view.reading().users.rows.get(user_id)

    def by_name(self, name: str) -> User | None:
        users = self._view.reading().users
        user_id = users.names.get(name_key(name))
        return None if user_id is None else users.rows[user_id]

    def add(self, user: User) -> None:
        state = self._view.writing()
        if is_new(user, same_id=state.users.rows.get(user.id), taken=user.name_key in state.users.names):
            self._view.stage(replace(state, users=state.users.plus(user)))

    def replace(self, user: User, *, if_version: int) -> None:
        state = self._view.writing()
        stored = replaceable(state.users.rows.get(user.id), user, if_version=if_version)
        if stored is None:
            return
        changed = user if user.name == stored.name else replace(user, name=stored.name)
        self._view.stage(replace(state, users=state.users.changed(changed)))

    def delete(self, user_id: str) -> bool:
        state = self._view.writing()
        stored = state.users.rows.get(user_id)
        if stored is None:
            return False
        ended = state.sessions.of(user_id, limit=ENDED_WITH_USER)
        self._view.stage(replace(state, users=state.users.minus(stored), sessions=state.sessions.minus(*ended)))
        return True

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        users = self._view.reading().users
        return tuple(users.rows[user_id] for user_id in users.order.page(limit=limit, after_id=after_id))


class MemorySessions:
    """The sessions, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, session: Session) -> None:
        state = self._view.writing()
        if session.id not in state.sessions.rows:
            self._view.stage(replace(state, sessions=state.sessions.plus(session)))

    def get(self, session_id: str) -> Session | None:
        return self._view.reading().sessions.rows.get(session_id)

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        state = self._view.writing()
        stored = state.sessions.rows.get(session_id)
        rotation, rotated = decide_rotation(
            stored, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
        )
        if rotated is not None:
            self._view.stage(replace(state, sessions=state.sessions.changed(rotated)))
        elif stored is not None and rotation is Rotation.REUSED:
            self._view.stage(replace(state, sessions=state.sessions.minus(stored)))
        return rotation

    def delete(self, session_id: str) -> None:
        state = self._view.writing()
        session = state.sessions.rows.get(session_id)
        if session is not None:
            self._view.stage(replace(state, sessions=state.sessions.minus(session)))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        state = self._view.writing()
        found = state.sessions.of(user_id, limit=limit, keep_id=keep_id)
        self._view.stage(replace(state, sessions=state.sessions.minus(*found)))
        return len(found)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        state = self._view.writing()
        expired = state.sessions.expired(at, limit)
        self._view.stage(replace(state, sessions=state.sessions.minus(*expired)))
        return len(expired)


class MemoryCoherence:
    """The coherence record, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def read(self) -> CoherenceRecord:
        return self._view.reading().coherence

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        state = self._view.writing()
        if state.coherence.epoch != expected_epoch:
            return state.coherence
        record = CoherenceRecord(expected_epoch + 1, cache_on, cache)
        self._view.stage(replace(state, coherence=record))
        return record
