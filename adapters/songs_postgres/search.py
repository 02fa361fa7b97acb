"""The statements that find and count songs, for every filter.

A text is looked for in the index of trigrams. A text of one or two characters has none, so PostgreSQL looks through the
songs in the order of their ids, which ends early for a page of something common. Which is best depends on the text, so
a statement that has one is planned each time anew (``prepare=False`` where it is run).
"""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from typing import Final, LiteralString

from songs.limits import MAX_LEVEL
from songs.query import SongFilter
from songs_postgres.encoding import SONG_COLUMNS, bounded, sought, storable

Query = tuple[LiteralString, tuple[object, ...]]

_SPECIAL: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
_TEXT: Final = "(artist_fold LIKE %s OR title_fold LIKE %s)"
# A folded text may be too long for an index, its hash is not.
_ARTIST: Final = "hashtextextended(artist_fold, 0) = hashtextextended(%s, 0) AND artist_fold = %s"


def find(song_filter: SongFilter, *, limit: int, after_id: str | None, offset: int) -> Query | None:
    """Return the statement for a page of songs ordered by id; None where no song can meet the filter."""
    met = _meets(song_filter, after_id)
    if met is None:
        return None
    where, parameters = met
    statement = f"SELECT {SONG_COLUMNS} FROM songs{where} ORDER BY id LIMIT %s OFFSET %s"
    return statement, (*parameters, bounded(limit), bounded(offset))


def count(song_filter: SongFilter) -> Query | None:
    """Return the statement that counts the songs that meet a filter; None where no song can."""
    met = _meets(song_filter, None)
    if met is None:
        return None
    where, parameters = met
    return f"SELECT count(*) FROM songs{where}", tuple(parameters)


def sought_level(level: int) -> int:
    """Return a level that can be sent, and that no song has if none has `level`."""
    return level if 0 <= level <= MAX_LEVEL else -1


def pattern(text: str) -> str:
    """Return what texts are LIKE that contain `text`."""
    return f"%{text.translate(_SPECIAL)}%"


def _meets(song_filter: SongFilter, after_id: str | None) -> tuple[LiteralString, list[object]] | None:
    text, artist, level = song_filter.text, song_filter.artist, song_filter.level
    conditions: list[LiteralString] = []
    parameters: list[object] = []
    if not (storable(text or "") and storable(artist or "")):
        return None
    if artist is not None:
        conditions.append(_ARTIST)
        parameters += (artist, artist)
    if level is not None:
        conditions.append("level = %s")
        parameters.append(sought_level(level))
    if text is not None:
        conditions.append(_TEXT)
        parameters += (pattern(text), pattern(text))
    if after_id is not None:
        conditions.append("id > %s")
        parameters.append(sought(after_id))
    where: LiteralString = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return where, parameters
