"""The songs, and the statements that find and count them, for every filter.

A text is looked for in the index of trigrams. A text of one or two characters has none, so PostgreSQL looks through the
songs in the order of their ids, which ends early for a page of something common. Which is best depends on the text, so
a statement that has one is planned each time (``prepare=False`` where it is run).
"""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from collections.abc import Collection, Mapping, Sequence
from typing import Final, LiteralString

from songs.errors import DuplicateSong, TransientConflict
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs.text import fold
from songs_plugins.decisions import check_version, replaceable
from songs_plugins.rows import SONG_COLUMNS, song_of
from songs_plugins.values import clamped, comparable, comparable_level, encodable, identity_key
from songs_postgres.connection import Row, Transaction
from songs_postgres.ratings import NOTE_ORPHANS, ORPHANS_REMOVED, REMOVE_ORPHANS

Query = tuple[LiteralString, tuple[object, ...]]

SONG_TYPES: Final[dict[LiteralString, LiteralString]] = {
    "id": "text",
    "version": "bigint",
    "artist": "text",
    "title": "text",
    "difficulty_milli": "integer",
    "level": "smallint",
    "released": "date",
}
WRITTEN_TYPES: Final = SONG_TYPES | {"identity_key": "bytea", "artist_fold": "text", "title_fold": "text"}
"""Of the columns that are written with a song, in the order of `song_row`: the id first."""
GET: Final = f"SELECT {SONG_COLUMNS} FROM songs WHERE id = %s"
LOCK: Final = f"{GET} FOR NO KEY UPDATE"
IDENTIFY: Final = f"SELECT {SONG_COLUMNS} FROM songs WHERE identity_key = ANY (%s)"

# A row of level_totals for each connection, more or less: then songs of one level are not added one after the other.
_COUNT: Final = (
    "INSERT INTO level_totals (level, slot, songs, sum_milli) "
    "SELECT level, pg_backend_pid() %% 16, sum(songs), sum(sum_milli) FROM change GROUP BY level ORDER BY level "
    "ON CONFLICT (level, slot) DO UPDATE SET songs = level_totals.songs + excluded.songs, "
    "sum_milli = level_totals.sum_milli + excluded.sum_milli"
)
ADD: Final = (
    f"WITH added AS (INSERT INTO songs ({', '.join(WRITTEN_TYPES)}) "
    f"SELECT * FROM unnest({', '.join(f'%s::{each}[]' for each in WRITTEN_TYPES.values())}) "
    "ON CONFLICT DO NOTHING RETURNING id, level, difficulty_milli), "
    "rated AS (INSERT INTO stats (song_id) SELECT id FROM added), "
    "change AS (SELECT level, 1 AS songs, difficulty_milli AS sum_milli FROM added), "
    f"counted AS ({_COUNT}) SELECT id FROM added"
)
# A statement of its own: it sees what those had committed for whom the one before waited.
RENAME: Final = (
    "UPDATE stats SET incarnation = song_id || '/' || gen_random_uuid() "
    "WHERE song_id = ANY (%s) AND song_id IN (SELECT incarnation FROM deleted_songs)"
)
STORED: Final = "SELECT id, identity_key FROM songs WHERE id = ANY (%s) OR identity_key = ANY (%s)"
_CHANGED: Final = list(WRITTEN_TYPES)[1:]
REPLACE: Final = (
    f"WITH new AS (UPDATE songs SET ({', '.join(_CHANGED)}) = ({', '.join('%s' for _ in _CHANGED)}) "
    "WHERE id = %s AND NOT EXISTS (SELECT FROM songs AS other WHERE other.identity_key = %s AND other.id <> %s) "
    "RETURNING id, level, difficulty_milli), "
    "change AS (SELECT level, 1 AS songs, difficulty_milli AS sum_milli FROM new "
    "UNION ALL SELECT %s::smallint, -1, %s::integer FROM new), "
    f"counted AS ({_COUNT}) SELECT id FROM new"
)
DELETE_STATS: Final = "DELETE FROM stats WHERE song_id = %s RETURNING coalesce(incarnation, song_id)"
DELETE: Final = (
    "WITH old AS (DELETE FROM songs WHERE id = %s RETURNING level, difficulty_milli), "
    "change AS (SELECT level, -1 AS songs, -difficulty_milli AS sum_milli FROM old), "
    f"counted AS ({_COUNT}) SELECT FROM old"
)
TOTALS: Final = "SELECT coalesce(sum(songs), 0)::bigint, coalesce(sum(sum_milli), 0)::bigint FROM level_totals"
LEVEL_TOTALS: Final = f"{TOTALS} WHERE level = %s"

_SPECIAL: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
_TEXT: Final = "(artist_fold LIKE %s OR title_fold LIKE %s)"
# A folded text may be too long for an index, its hash is not.
_ARTIST: Final = "hashtextextended(artist_fold, 0) = hashtextextended(%s, 0) AND artist_fold = %s"


class PostgresSongs:
    """The songs, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, song_id: str) -> Song | None:
        rows = self._transaction.rows(GET, (comparable(song_id),))
        return song_of(rows[0]) if rows else None

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        rows = self._transaction.rows(IDENTIFY, (list(map(identity_key, identities)),))
        return {found.identity: found for found in map(song_of, rows)}

    def add(self, song: Song) -> None:
        if self.add_many([song]):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        self._transaction.writing()
        keys = [identity_key(each.identity) for each in songs]
        rows = [song_row(each, key) for each, key in zip(songs, keys, strict=True)]
        added = self._transaction.rows(ADD, [[row[n] for row in rows] for n in range(len(WRITTEN_TYPES))])
        if added:
            self._transaction.rows(RENAME, ([song_id for (song_id,) in added],))
        if len(added) == len(songs):
            return frozenset()
        ids = [each.id for each in songs]
        stored: dict[str, bytes] = dict(self._transaction.rows(STORED, (ids, keys)))
        refused = {each.id for each, key in zip(songs, keys, strict=True) if stored.get(each.id) != key}
        if any(each.id not in stored and key not in stored.values() for each, key in zip(songs, keys, strict=True)):
            # What a song gave way to has been deleted since.
            raise TransientConflict
        return frozenset(refused)

    def replace(self, song: Song, *, if_version: int) -> None:
        self._transaction.writing()
        stored = replaceable(self._locked(song.id), song, if_version=if_version)
        if stored is None:
            return
        key = identity_key(song.identity)
        _, *changed = song_row(song, key)
        if not self._transaction.rows(
            REPLACE, (*changed, song.id, key, song.id, stored.level, -stored.difficulty_milli)
        ):
            raise DuplicateSong

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        self._transaction.writing()
        stored = self._locked(song_id)
        if stored is None:
            return False
        check_version(stored.version, if_version)
        # A concurrent rating has committed by then, or will find no counters.
        for (incarnation,) in self._transaction.rows(DELETE_STATS, (stored.id,)):
            ((removed,),) = self._transaction.rows(REMOVE_ORPHANS, (incarnation, ORPHANS_REMOVED))
            if removed == ORPHANS_REMOVED:
                self._transaction.rows(NOTE_ORPHANS, (incarnation,))
                self._transaction.leave_orphans()
        self._transaction.rows(DELETE, (stored.id,))
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        query = page_query(song_filter, limit=limit, after_id=after_id, offset=offset)
        return tuple(map(song_of, self._looked_up(song_filter, query)))

    def count(self, song_filter: SongFilter) -> int:
        if song_filter.only_level:
            return self.difficulty_totals(song_filter.level).count
        query = count_query(song_filter)
        return sum(number for (number,) in self._looked_up(song_filter, query))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        statement, parameters = (TOTALS, ()) if level is None else (LEVEL_TOTALS, (comparable_level(level),))
        return DifficultyTotals(*self._transaction.rows(statement, parameters)[0])

    def _looked_up(self, song_filter: SongFilter, query: Query | None) -> list[Row]:
        if query is None:
            return []
        return self._transaction.rows(*query, prepare=None if song_filter.text is None else False)

    def _locked(self, song_id: str) -> Song | None:
        rows = self._transaction.rows(LOCK, (comparable(song_id),))
        return song_of(rows[0]) if rows else None


def song_row(song: Song, key: bytes) -> tuple[object, ...]:
    """Return the row of `WRITTEN_TYPES` for a song; `key` is the one of its identity."""
    details = song.details
    return (
        song.id,
        song.version,
        details.artist,
        details.title,
        details.difficulty_milli,
        details.level,
        details.released,
        key,
        fold(details.artist),
        fold(details.title),
    )


def page_query(song_filter: SongFilter, *, limit: int, after_id: str | None, offset: int) -> Query | None:
    """Return the statement for a page of songs ordered by id; None where no song can meet the filter."""
    met = _meets(song_filter, after_id)
    if met is None:
        return None
    where, parameters = met
    statement = f"SELECT {SONG_COLUMNS} FROM songs{where} ORDER BY id LIMIT %s OFFSET %s"
    return statement, (*parameters, clamped(limit), clamped(offset))


def count_query(song_filter: SongFilter) -> Query | None:
    """Return the statement that counts the songs that meet a filter; None where no song can."""
    met = _meets(song_filter, None)
    if met is None:
        return None
    where, parameters = met
    return f"SELECT count(*) FROM songs{where}", tuple(parameters)


def pattern(text: str) -> str:
    """Return what texts are LIKE that contain `text`."""
    return f"%{text.translate(_SPECIAL)}%"


def _meets(song_filter: SongFilter, after_id: str | None) -> tuple[LiteralString, list[object]] | None:
    text, artist, level = song_filter.text, song_filter.artist, song_filter.level
    conditions: list[LiteralString] = []
    parameters: list[object] = []
    if not (encodable(text or "") and encodable(artist or "")):
        return None
    if artist is not None:
        conditions.append(_ARTIST)
        parameters += (artist, artist)
    if level is not None:
        conditions.append("level = %s")
        parameters.append(comparable_level(level))
    if text is not None:
        conditions.append(_TEXT)
        parameters += (pattern(text), pattern(text))
    if after_id is not None:
        conditions.append("id > %s")
        parameters.append(comparable(after_id))
    where: LiteralString = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return where, parameters
