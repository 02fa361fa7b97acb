"""The songs."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from songs.errors import DuplicateSong, SongNotFound, VersionConflict
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs.text import fold
from songs_sqlite import encoding, leftovers, search
from songs_sqlite.connection import Parameters
from songs_sqlite.transaction import Transaction

GET: Final = f"SELECT {encoding.SONG_COLUMNS} FROM songs WHERE id = ?"
IDENTIFY: Final = f"SELECT {encoding.SONG_COLUMNS} FROM songs WHERE artist = ? AND title = ? AND released = ?"
ADD: Final = (
    f"INSERT INTO songs ({encoding.SONG_COLUMNS}, artist_fold, title_fold) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
REPLACE: Final = (
    "UPDATE songs SET artist = ?, title = ?, released = ?, difficulty_milli = ?, level = ?, version = ?, "
    "artist_fold = ?, title_fold = ? WHERE id = ?"
)
VERSION: Final = "SELECT version FROM songs WHERE id = ?"
DELETE_STATS: Final = "DELETE FROM stats WHERE song_id = ? RETURNING coalesce(incarnation, song_id)"
DELETE: Final = "DELETE FROM songs WHERE id = ?"
MANY: Final = 100
MERGE_SEARCH: Final = "INSERT INTO songs_search (songs_search, rank) VALUES ('merge', 100)"
"""Merges parts of the search index, which it has one more of with each transaction that adds songs. A search looks in
all of them; FTS5 by itself merges a part only when there are four of its size."""
TOTALS: Final = "SELECT coalesce(sum(count), 0), coalesce(sum(sum_milli), 0) FROM level_totals"
LEVEL_TOTALS: Final = "SELECT count, sum_milli FROM level_totals WHERE level = ?"


class SqliteSongs:
    """The songs, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, song_id: str) -> Song | None:
        rows = self._transaction.rows(GET, (encoding.sought(song_id),))
        return encoding.song(rows[0]) if rows else None

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        songs = (self._identified(identity) for identity in identities)
        return {song.identity: song for song in songs if song is not None}

    def add(self, song: Song) -> None:
        self._transaction.writing()
        if self._transaction.change(ADD, _added(song)):
            return
        if not self._is_stored(song):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        self._transaction.writing()
        added = self._transaction.change_each(ADD, map(_added, songs))
        if added >= MANY:
            self._transaction.change(MERGE_SEARCH)
        if added == len(songs):
            return frozenset()
        return frozenset(song.id for song in songs if not self._is_stored(song))

    def replace(self, song: Song, *, if_version: int) -> None:
        self._transaction.writing()
        stored = self.get(song.id)
        if stored == song:
            return
        if stored is None:
            raise SongNotFound
        if stored.version != if_version:
            raise VersionConflict
        if stored.identity != song.identity and self._identified(song.identity) is not None:
            raise DuplicateSong
        released = song.released.isoformat()
        self._transaction.change(
            REPLACE,
            (
                song.artist,
                song.title,
                released,
                song.difficulty_milli,
                song.level,
                song.version,
                fold(song.artist),
                fold(song.title),
                song.id,
            ),
        )

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        self._transaction.writing()
        key = (encoding.sought(song_id),)
        rows = self._transaction.rows(VERSION, key)
        if not rows:
            return False
        if if_version is not None and rows[0][0] != if_version:
            raise VersionConflict
        for incarnation in self._transaction.rows(DELETE_STATS, key):
            if self._transaction.change(leftovers.REMOVE_SOME, (*incarnation, leftovers.BATCH)) == leftovers.BATCH:
                self._transaction.change(leftovers.NOTE, incarnation)
                self._transaction.leave_behind()
        self._transaction.change(DELETE, key)
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        query = search.find(song_filter, limit=limit, after_id=after_id, offset=offset)
        return tuple(map(encoding.song, self._transaction.rows(*query))) if query else ()

    def count(self, song_filter: SongFilter) -> int:
        if song_filter.text is None and song_filter.artist is None:
            return self.difficulty_totals(song_filter.level).count
        query = search.count(song_filter)
        return int(self._transaction.rows(*query)[0][0]) if query else 0

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        rows = (
            self._transaction.rows(TOTALS)
            if level is None
            else self._transaction.rows(LEVEL_TOTALS, (search.sought_level(level),))
        )
        return DifficultyTotals(*rows[0]) if rows else DifficultyTotals(0, 0)

    def _identified(self, identity: SongIdentity) -> Song | None:
        artist, title, released = identity
        if not (encoding.storable(artist) and encoding.storable(title)):
            return None
        rows = self._transaction.rows(IDENTIFY, (artist, title, released.isoformat()))
        return encoding.song(rows[0]) if rows else None

    def _is_stored(self, song: Song) -> bool:
        stored = self.get(song.id)
        return stored is not None and stored.identity == song.identity


def _added(song: Song) -> Parameters:
    return (
        song.id,
        song.artist,
        song.title,
        song.difficulty_milli,
        song.level,
        song.released.isoformat(),
        song.version,
        fold(song.artist),
        fold(song.title),
    )
