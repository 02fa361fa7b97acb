"""The statements that find and count songs, for every filter.

A filter with an artist goes through the index of folded artists; one with a text of three characters or more through
the index of trigrams; a shorter text has no trigram, and MATCH would silently find nothing, so the songs (of a level,
if given) are looked through. What the index of trigrams finds for a text of more than three is verified.
"""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from typing import Final

from songs.limits import MAX_LEVEL
from songs.query import SongFilter
from songs_sqlite import encoding
from songs_sqlite.connection import Parameters

Query = tuple[str, Parameters]

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


def find(song_filter: SongFilter, *, limit: int, after_id: str | None, offset: int) -> Query | None:
    """Return the statement for a page of songs ordered by id; None where no song can meet the filter."""
    parts = _meets(song_filter)
    if parts is None:
        return None
    tables, conditions, parameters = parts
    if after_id is not None:
        conditions.append("id > ?")
        parameters.append(encoding.sought(after_id))
    sql = _statement(encoding.SONG_COLUMNS, tables, conditions) + " ORDER BY id LIMIT ? OFFSET ?"
    return sql, (*parameters, encoding.bounded(limit), encoding.bounded(offset))


def count(song_filter: SongFilter) -> Query | None:
    """Return the statement that counts the songs that meet a filter; None where no song can."""
    parts = _meets(song_filter)
    if parts is None:
        return None
    tables, conditions, parameters = parts
    # Where nothing is asked of the songs themselves, the index alone counts them.
    return _statement("count(*)", _INDEX if conditions == [_MATCH] else tables, conditions), tuple(parameters)


def sought_level(level: int) -> int:
    """Return a level that can be bound, and that no song has if none has `level`."""
    return level if 0 <= level <= MAX_LEVEL else -1


def trigrams(text: str) -> str:
    """Return what finds in the index the rows that contain the trigrams of which the beginning of a text consists.

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
    if not (encoding.storable(text or "") and encoding.storable(artist or "")):
        return None
    if artist is not None:
        conditions.append("songs.artist_fold = ?")
        parameters.append(artist)
    elif text is not None and len(text) >= TRIGRAM:
        tables = _INDEXED
        conditions.append(_MATCH)
        parameters.append(trigrams(text))
        if len(text) == TRIGRAM and _CONFUSED.isdisjoint(text):
            text = None  # the index has told all
    if level is not None:
        conditions.append("level = ?")
        parameters.append(sought_level(level))
    if text is not None:
        conditions.append(_CONTAINS)
        parameters += (text, text)
    return tables, conditions, parameters


def _statement(columns: str, tables: str, conditions: list[str]) -> str:
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {columns} FROM {tables}{where}"
