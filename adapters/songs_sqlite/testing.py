"""For the contract kit: damaged data, and failing calls."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from typing import Any, Final, Literal

from songs_plugins import FailingCalls, failing
from songs_sqlite.connection import Connection
from songs_sqlite.storage import SqliteSettings

_FORGET: Final = (
    "INSERT INTO songs_search (songs_search, rowid, artist_fold, title_fold) "
    "SELECT 'delete', num, artist_fold, title_fold FROM songs WHERE id = 'song-1'"
)
STATEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "a song's statistics count too much": ("UPDATE stats SET n1 = n1 + 1, n5 = n5 - 1 WHERE song_id = 'song-1'",),
    "all statistics are gone": ("DELETE FROM stats",),
    "ratings of no song": ("INSERT INTO ratings VALUES ('gone', 'rating-x', 'user-1', 5, 0, 'key-x')",),
    "statistics of no song": ("INSERT INTO stats VALUES ('gone', 0, 0, 0, 0, 1, NULL)",),
    "totals of a level": ("UPDATE level_totals SET count = count - 5, sum_milli = 1 WHERE level = 1",),
    "totals of a level without songs": ("INSERT INTO level_totals VALUES (77, 1, 1)",),
    "totals are gone": ("DELETE FROM level_totals",),
    "an index is gone": ("DROP INDEX songs_by_artist_fold",),
    "a unique index is gone": ("DROP INDEX ratings_by_key",),
    "a trigger is gone": ("DROP TRIGGER song_graded",),
    "a trigger does nothing": (
        "DROP TRIGGER song_renamed",
        "CREATE TRIGGER song_renamed AFTER UPDATE OF title_fold ON songs BEGIN SELECT 1; END",
    ),
    "an index lacks rows": (
        "DROP INDEX songs_by_level",
        "CREATE INDEX songs_by_level ON songs (level, id) WHERE level > 1000",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, ' WHERE level > 1000', '') WHERE name = 'songs_by_level'",
        "PRAGMA schema_version = 1000000",
    ),
    "the search index lacks a song": (_FORGET,),
    # Of what FTS5 keeps there, numbers up to 10 are about the index as a whole.
    "the search index is damaged": ("DELETE FROM songs_search_data WHERE id > 10",),
    "folds of a song": ("UPDATE songs SET artist_fold = artist, title_fold = title",),
    "folds": (
        "UPDATE songs SET artist_fold = artist, title_fold = title",
        "UPDATE meta SET value = '1/1.1.0' WHERE name = 'fold_version'",
    ),
}


def _damaging(statements: tuple[str, ...]) -> Callable[[Any], None]:
    def damage(storage: Any) -> None:  # noqa: ANN401 - an open SqliteStorage, which imports this
        with closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    return damage


DAMAGES: Final = {name: _damaging(statements) for name, statements in STATEMENTS.items()}


_CODES: Final = {"before": sqlite3.SQLITE_FULL, "after": sqlite3.SQLITE_IOERR_FSYNC}
"""SQLite's codes for a write that did nothing, and for one that may have reached the disk."""


def faults(_settings: SqliteSettings) -> AbstractContextManager[FailingCalls]:
    """Return what lets statements of this process fail, also on connections that are open.

    COMMIT is one; ROLLBACK, which cannot fail, is not.
    """
    return failing(Connection, "rows", "change", "change_each", error=_error)


def _error(when: Literal["before", "after"]) -> Exception:
    error = sqlite3.OperationalError("a planted fault")
    error.sqlite_errorcode = _CODES[when]
    return error
