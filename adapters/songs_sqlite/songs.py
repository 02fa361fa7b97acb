"""The song repository, how songs look in their table, and the statements that search.

A filter with an artist goes through the index of folded artists; one with a text of three characters or more through
the index of trigrams; a shorter text has no trigram, and MATCH would silently find nothing, so the songs (of a level,
if given) are looked through. Songs that the index of trigrams finds for a text of more than three are verified.
"""

# ruff: noqa: S608 - statements are put together from constants of this package; values are bound
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from songs.errors import DuplicateSong
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs.text import fold
from songs_plugins.decisions import check_version, is_repeat, replaceable
from songs_plugins.rows import SONG_COLUMNS, song_of
from songs_plugins.values import clamped, comparable, comparable_level, encodable
from songs_sqlite.connection import Parameters, Transaction
from songs_sqlite.pool import NOTE_ORPHANS, ORPHANS_AT_ONCE, REMOVE_ORPHANS

Query = tuple[str, Parameters]

WRITTEN_COLUMNS: Final = f"{SONG_COLUMNS}, artist_fold, title_fold"


def song_row(song: Song) -> tuple[object, ...]:
    """Return the row of `WRITTEN_COLUMNS` for a song."""
    details = song.details
    return (
        song.id,
        song.version,
        details.artist,
        details.title,
        details.difficulty_milli,
        details.level,
        details.released.isoformat(),
        fold(details.artist),
        fold(details.title),
    )


TRIGRAM: Final = 3
LONGEST: Final = 64
"""Characters of a text that are looked up in the index."""

_MATCH: Final = "songs_search MATCH ?"
_CONTAINS: Final = "(instr(songs.artist_fold, ?) > 0 OR instr(songs.title_fold, ?) > 0)"
# CROSS JOIN keeps the order of the two: the other way round, every song would be looked up in the index.
_INDEX: Final = "songs_search"
_INDEXED: Final = f"{_INDEX} CROSS JOIN songs ON songs.num = songs_search.rowid"
_CONFUSED: Final = frozenset("\ufffd\ufffe\uffff")
"""FTS5 takes each of these for the first."""


def find_statement(song_filter: SongFilter, *, limit: int, after_id: str | None, offset: int) -> Query | None:
    """Return the statement for a page of songs ordered by id; None where no song can meet the filter."""
    parts = _meets(song_filter)
    if parts is None:
        return None
    tables, conditions, parameters = parts
    if after_id is not None:
        conditions.append("id > ?")
        parameters.append(comparable(after_id))
    sql = _statement(SONG_COLUMNS, tables, conditions) + " ORDER BY id LIMIT ? OFFSET ?"
    return sql, (*parameters, clamped(limit), clamped(offset))


def count_statement(song_filter: SongFilter) -> Query | None:
    """Return the statement that counts the songs that meet a filter; None where no song can."""
    parts = _meets(song_filter)
    if parts is None:
        return None
    tables, conditions, parameters = parts
    # Where nothing is asked of the songs themselves, the index alone counts them.
    return _statement("count(*)", _INDEX if conditions == [_MATCH] else tables, conditions), tuple(parameters)


def trigrams(text: str) -> str:
    """Return a MATCH expression for the rows that contain all trigrams of the beginning of a text.

    Every third one and the last cover it. As one phrase the index would be asked for all, and for their places too.
    """
    looked_up = text[:LONGEST]
    starts = dict.fromkeys([*range(0, len(looked_up) - TRIGRAM, TRIGRAM), len(looked_up) - TRIGRAM])
    return " ".join('"' + looked_up[start : start + TRIGRAM].replace('"', '""') + '"' for start in starts)


def _meets(song_filter: SongFilter) -> tuple[str, list[str], list[object]] | None:
    text, artist, level = song_filter.text, song_filter.artist, song_filter.level
    tables = "songs"
    conditions: list[str] = []
    parameters: list[object] = []
    if not (encodable(text or "") and encodable(artist or "")):
        return None
    if artist is not None:
        conditions.append("songs.artist_fold = ?")
        parameters.append(artist)
    elif text is not None and len(text) >= TRIGRAM:
        tables = _INDEXED
        conditions.append(_MATCH)
        parameters.append(trigrams(text))
        if len(text) == TRIGRAM and _CONFUSED.isdisjoint(text):
            text = None  # the index needs no verification
    if level is not None:
        conditions.append("level = ?")
        parameters.append(comparable_level(level))
    if text is not None:
        conditions.append(_CONTAINS)
        parameters += (text, text)
    return tables, conditions, parameters


def _statement(columns: str, tables: str, conditions: list[str]) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {columns} FROM {tables}{where}"


GET: Final = f"SELECT {SONG_COLUMNS} FROM songs WHERE id = ?"
IDENTIFY: Final = f"SELECT {SONG_COLUMNS} FROM songs WHERE artist = ? AND title = ? AND released = ?"
_MARKS: Final = ", ".join("?" for _ in WRITTEN_COLUMNS.split(", "))
ADD: Final = f"INSERT INTO songs ({WRITTEN_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"
# Without the id, whose index would be written again.
_CHANGED: Final = WRITTEN_COLUMNS.removeprefix("id, ")
REPLACE: Final = f"UPDATE songs SET ({_CHANGED}) = ({_MARKS.removeprefix('?, ')}) WHERE id = ?"
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
        rows = self._transaction.rows(GET, (comparable(song_id),))
        return song_of(rows[0]) if rows else None

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        songs = (self._identified(identity) for identity in identities)
        return {song.identity: song for song in songs if song is not None}

    def add(self, song: Song) -> None:
        self._transaction.writing()
        if self._transaction.change(ADD, song_row(song)):
            return
        if not is_repeat(self.get(song.id), song):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        self._transaction.writing()
        added = self._transaction.change_each(ADD, map(song_row, songs))
        if added >= MANY:
            self._transaction.change(MERGE_SEARCH)
        if added == len(songs):
            return frozenset()
        return frozenset(song.id for song in songs if not is_repeat(self.get(song.id), song))

    def replace(self, song: Song, *, if_version: int) -> None:
        self._transaction.writing()
        stored = replaceable(self.get(song.id), song, if_version=if_version)
        if stored is None:
            return
        if stored.identity != song.identity and self._identified(song.identity) is not None:
            raise DuplicateSong
        song_id, *changed = song_row(song)
        self._transaction.change(REPLACE, (*changed, song_id))

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        self._transaction.writing()
        key = (comparable(song_id),)
        rows = self._transaction.rows(VERSION, key)
        if not rows:
            return False
        check_version(rows[0][0], if_version)
        for incarnation in self._transaction.rows(DELETE_STATS, key):
            if self._transaction.change(REMOVE_ORPHANS, (*incarnation, ORPHANS_AT_ONCE)) == ORPHANS_AT_ONCE:
                self._transaction.change(NOTE_ORPHANS, incarnation)
                self._transaction.leave_orphans()
        self._transaction.change(DELETE, key)
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        query = find_statement(song_filter, limit=limit, after_id=after_id, offset=offset)
        return tuple(map(song_of, self._transaction.rows(*query))) if query else ()

    def count(self, song_filter: SongFilter) -> int:
        if song_filter.only_level:
            return self.difficulty_totals(song_filter.level).count
        query = count_statement(song_filter)
        return int(self._transaction.rows(*query)[0][0]) if query else 0

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        rows = (
            self._transaction.rows(TOTALS)
            if level is None
            else self._transaction.rows(LEVEL_TOTALS, (comparable_level(level),))
        )
        return DifficultyTotals(*rows[0]) if rows else DifficultyTotals(0, 0)

    def _identified(self, identity: SongIdentity) -> Song | None:
        artist, title, released = identity
        if not (encodable(artist) and encodable(title)):
            return None
        rows = self._transaction.rows(IDENTIFY, (artist, title, released.isoformat()))
        return song_of(rows[0]) if rows else None
