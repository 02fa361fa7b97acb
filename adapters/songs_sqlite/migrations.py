"""The schema, and how an older one becomes it.

- ``songs`` has a number of its own because the search index names rows by number; everything else goes by id.
- ``stats`` is apart from ``songs`` so that a rating rewrites one narrow row, and a song's long texts stay where they
  are. A row of it is there exactly as long as its song.
- ``ratings`` are clustered by song and id: reading a song's events is one range, and a rating without a key writes two
  pages, the leaf of its song's events and that of its counters.
- No foreign keys are enforced: ratings outlive their song for a while, where nobody sees them.
- ``level_totals`` and the search index follow ``songs`` by triggers, within the same statement.
- The search index holds trigrams of the folded texts, which `songs.text.fold` made; hence ``case_sensitive 1``.
"""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from songs.errors import StorageMismatch, StorageUnavailable
from songs.ports.clock import Deadline
from songs.text import FOLD_VERSION
from songs_sqlite.connection import Connection
from songs_sqlite.files import APPLICATION_ID, refuse_newer

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE songs (
            num INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            artist TEXT NOT NULL,
            title TEXT NOT NULL,
            released TEXT NOT NULL,
            difficulty_milli INTEGER NOT NULL,
            level INTEGER NOT NULL,
            version INTEGER NOT NULL,
            artist_fold TEXT NOT NULL,
            title_fold TEXT NOT NULL,
            UNIQUE (artist, title, released)
        ) STRICT""",
        "CREATE INDEX songs_by_level ON songs (level, id)",
        "CREATE INDEX songs_by_artist_fold ON songs (artist_fold, id)",
        """CREATE TABLE stats (
            song_id TEXT PRIMARY KEY REFERENCES songs (id),
            n1 INTEGER NOT NULL DEFAULT 0,
            n2 INTEGER NOT NULL DEFAULT 0,
            n3 INTEGER NOT NULL DEFAULT 0,
            n4 INTEGER NOT NULL DEFAULT 0,
            n5 INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE ratings (
            song_id TEXT NOT NULL REFERENCES stats (song_id),
            id TEXT NOT NULL,
            user_id TEXT NOT NULL,
            value INTEGER NOT NULL,
            rated_at_ms INTEGER NOT NULL,
            key TEXT,
            PRIMARY KEY (song_id, id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE UNIQUE INDEX ratings_by_key ON ratings (user_id, key) WHERE key IS NOT NULL",
        """CREATE TABLE level_totals (
            level INTEGER PRIMARY KEY,
            count INTEGER NOT NULL,
            sum_milli INTEGER NOT NULL
        ) STRICT""",
        """CREATE VIRTUAL TABLE songs_search USING fts5 (
            artist_fold, title_fold,
            content = 'songs', content_rowid = 'num', columnsize = 0, tokenize = 'trigram case_sensitive 1'
        )""",
        """CREATE TRIGGER song_added AFTER INSERT ON songs BEGIN
            INSERT INTO stats (song_id) VALUES (new.id);
            INSERT INTO level_totals VALUES (new.level, 1, new.difficulty_milli)
                ON CONFLICT (level) DO UPDATE SET count = count + 1, sum_milli = sum_milli + excluded.sum_milli;
            INSERT INTO songs_search (rowid, artist_fold, title_fold)
                VALUES (new.num, new.artist_fold, new.title_fold);
        END""",
        """CREATE TRIGGER song_removed AFTER DELETE ON songs BEGIN
            UPDATE level_totals SET count = count - 1, sum_milli = sum_milli - old.difficulty_milli
                WHERE level = old.level;
            INSERT INTO songs_search (songs_search, rowid, artist_fold, title_fold)
                VALUES ('delete', old.num, old.artist_fold, old.title_fold);
        END""",
        """CREATE TRIGGER song_graded AFTER UPDATE OF level, difficulty_milli ON songs BEGIN
            UPDATE level_totals SET count = count - 1, sum_milli = sum_milli - old.difficulty_milli
                WHERE level = old.level;
            INSERT INTO level_totals VALUES (new.level, 1, new.difficulty_milli)
                ON CONFLICT (level) DO UPDATE SET count = count + 1, sum_milli = sum_milli + excluded.sum_milli;
        END""",
        """CREATE TRIGGER song_renamed AFTER UPDATE OF artist_fold, title_fold ON songs
            WHEN old.artist_fold <> new.artist_fold OR old.title_fold <> new.title_fold
        BEGIN
            INSERT INTO songs_search (songs_search, rowid, artist_fold, title_fold)
                VALUES ('delete', old.num, old.artist_fold, old.title_fold);
            INSERT INTO songs_search (rowid, artist_fold, title_fold)
                VALUES (new.num, new.artist_fold, new.title_fold);
        END""",
        """CREATE TABLE users (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE,
            password_hash TEXT NOT NULL,
            role TEXT NOT NULL,
            disabled INTEGER NOT NULL,
            created_at_ms INTEGER NOT NULL,
            token_version INTEGER NOT NULL,
            version INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL,
            current_hash TEXT NOT NULL,
            previous_hash TEXT,
            created_at_ms INTEGER NOT NULL,
            rotated_at_ms INTEGER NOT NULL,
            expires_at_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX sessions_by_user ON sessions (user_id)",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms)",
        """CREATE TABLE coherence (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            epoch INTEGER NOT NULL,
            cache_on INTEGER NOT NULL
        ) STRICT""",
        "INSERT INTO coherence VALUES (1, 1, 1)",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    ),
    (
        # Two parts of the index are enough to merge them, where a merge is asked for.
        "INSERT INTO songs_search (songs_search, rank) VALUES ('usermerge', 2)",
        "INSERT INTO songs_search (songs_search) VALUES ('optimize')",
    ),
    (
        # A process of an older version that is still running leaves it as it is.
        "ALTER TABLE coherence ADD COLUMN cache TEXT NOT NULL DEFAULT ''",
    ),
    ("INSERT INTO meta VALUES ('identity', lower(hex(randomblob(16))))",),
    (
        # Ratings of songs that are gone are removed later: see `songs_sqlite.pool`. NULL: the song's id.
        "ALTER TABLE stats ADD COLUMN incarnation TEXT",
        "CREATE TABLE deleted_songs (incarnation TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        "DROP TRIGGER song_added",
        """CREATE TRIGGER song_added AFTER INSERT ON songs BEGIN
            INSERT INTO stats (song_id, incarnation) SELECT new.id, CASE
                WHEN EXISTS (SELECT 1 FROM deleted_songs WHERE incarnation = new.id)
                THEN new.id || '/' || lower(hex(randomblob(16)))
            END;
            INSERT INTO level_totals VALUES (new.level, 1, new.difficulty_milli)
                ON CONFLICT (level) DO UPDATE SET count = count + 1, sum_milli = sum_milli + excluded.sum_milli;
            INSERT INTO songs_search (rowid, artist_fold, title_fold)
                VALUES (new.num, new.artist_fold, new.title_fold);
        END""",
    ),
)
"""The n-th of these takes a file from schema version n to n + 1. One that was released is never changed again."""

NEWEST: Final = len(MIGRATIONS)


OLDEST_LIBRARY: Final = (3, 37, 0)
"""The first with STRICT tables."""
_log: Final = logging.getLogger("songs_sqlite")


def check_library() -> None:
    """Raise `StorageUnavailable` if this Python's SQLite lacks something that we need, saying what."""
    if sqlite3.sqlite_version_info < OLDEST_LIBRARY:
        wanted = ".".join(map(str, OLDEST_LIBRARY))
        raise StorageUnavailable(
            f"This Python has SQLite {sqlite3.sqlite_version}; the storage needs {wanted} or newer. Use another Python."
        )
    probe = sqlite3.connect(":memory:")
    try:
        probe.execute("CREATE VIRTUAL TABLE probe USING fts5 (text, tokenize = 'trigram case_sensitive 1')")
    except sqlite3.Error as error:
        raise StorageUnavailable(
            f"This Python's SQLite {sqlite3.sqlite_version} lacks FTS5 with its trigram tokenizer ({error}). "
            "Use a Python whose SQLite was built with SQLITE_ENABLE_FTS5."
        ) from error
    finally:
        probe.close()


def check_schema(connection: Connection, path: Path, deadline: Deadline) -> None:
    """Return if the file is empty or ours, of a version that we know, as its log of writes has it.

    Raises:
        StorageMismatch: It is not.
        StorageUnavailable: Another process kept it locked.
    """
    refuse_newer(path, _number(connection, "PRAGMA user_version", deadline), NEWEST)
    if _number(connection, "PRAGMA application_id", deadline) == APPLICATION_ID:
        return
    if connection.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1", deadline):
        raise StorageMismatch(f"{path} belongs to another program. Choose another path.")


def bring_up_to_date(connection: Connection, path: Path, deadline: Deadline) -> None:
    """Mark the file as ours, switch it to a log of writes, and apply what is missing, in one transaction.

    Two processes may do this at once: the second waits for the first and finds nothing left to do. A file that is up
    to date is only read.

    Raises:
        StorageUnavailable: The file system does not support a log of writes, or a lock did not come free.
        StorageMismatch: The schema is newer than this program.
    """
    if _number(connection, "PRAGMA application_id", deadline) != APPLICATION_ID:
        # Before the log is switched on, so that it is in the file itself, where `check_header` looks.
        connection.wait_for(f"PRAGMA application_id = {APPLICATION_ID}", deadline)
    mode = connection.wait_for("PRAGMA journal_mode = WAL", deadline)[0][0]
    if mode != "wal":
        raise StorageUnavailable(
            f"The file system of {path} does not support SQLite's write-ahead log (it offers {mode!r}). "
            "Put the file on a local disk."
        )
    if _number(connection, "PRAGMA user_version", deadline) == NEWEST:
        return
    connection.wait_for("BEGIN IMMEDIATE", deadline)
    try:
        version = _number(connection, "PRAGMA user_version", deadline)
        refuse_newer(path, version, NEWEST)
        for statement in (statement for migration in MIGRATIONS[version:] for statement in migration):
            connection.change(statement)
        connection.change("INSERT INTO meta VALUES ('fold_version', ?) ON CONFLICT DO NOTHING", (FOLD_VERSION,))
        connection.change(f"PRAGMA user_version = {NEWEST}")
        connection.change("COMMIT")
    finally:
        connection.end("ROLLBACK")


def check_identity(connection: Connection, path: Path, identity: str | None, deadline: Deadline) -> None:
    """Return if the file was prepared by this version, and has this identity, if one is given.

    Raises:
        StorageUnavailable: It was not, or has another.
    """
    if _number(connection, "PRAGMA user_version", deadline) < NEWEST:
        raise StorageUnavailable(f"{path} was not prepared for this version; run `songs prepare`.")
    if identity is not None and identity_of(connection, path, deadline) != identity:
        raise StorageUnavailable(f"{path} is another database than before; bring that one back, or start again.")


def identity_of(connection: Connection, path: Path, deadline: Deadline) -> str:
    """Return a text that no other database has, nor this one in another file.

    A copy has the same random number and another file: put in the place of a file that is open, it must not be taken
    for that, as the log beside it belongs to the other one.
    """
    numbers = connection.wait_for("SELECT value FROM meta WHERE name = 'identity'", deadline)
    if not numbers:
        raise StorageMismatch(f"{path} lacks the record of its identity; restore a backup.")
    return f"{numbers[0][0]}/{path.stat().st_ino}"


def warn_of_other_folds(connection: Connection, path: Path, deadline: Deadline) -> None:
    """Tell the log if the songs were folded by another version, as another Python with another Unicode does."""
    versions = connection.wait_for("SELECT value FROM meta WHERE name = 'fold_version'", deadline)
    version = versions[0][0] if versions else "(not recorded)"
    if version != FOLD_VERSION:
        _log.warning(
            "The songs in %s were folded by version %s, and this program folds by %s: searches may miss some of them, "
            "until `songs doctor --repair` has folded them again.",
            path,
            version,
            FOLD_VERSION,
        )


def _number(connection: Connection, pragma: str, deadline: Deadline) -> int:
    return int(connection.wait_for(pragma, deadline)[0][0])
