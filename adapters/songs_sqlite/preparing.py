"""Making a file ready: the library checked, the schema brought up to date."""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from songs.deadline import Deadline
from songs.errors import StorageMismatch, StorageUnavailable
from songs.text import FOLD_VERSION
from songs_sqlite.connection import Connection
from songs_sqlite.files import APPLICATION_ID, refuse_newer
from songs_sqlite.schema import MIGRATIONS, NEWEST

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
    """Return what tells this database, in this file, from any other.

    A copy has the same random number and another file: whoever puts one in the place of a file that is open must not
    have it taken for that, as the log beside it belongs to the other one.
    """
    ((number,),) = connection.wait_for("SELECT value FROM meta WHERE name = 'identity'", deadline)
    return f"{number}/{path.stat().st_ino}"


def warn_of_other_folds(connection: Connection, path: Path, deadline: Deadline) -> None:
    """Tell the log if the songs were folded by another version, as another Python with another Unicode does."""
    ((version,),) = connection.wait_for("SELECT value FROM meta WHERE name = 'fold_version'", deadline)
    if version != FOLD_VERSION:
        _log.warning(
            "The songs in %s were folded by version %s, and this program folds by %s: searches may miss some of them, "
            "until `songs doctor --repair` has folded them anew.",
            path,
            version,
            FOLD_VERSION,
        )


def _number(connection: Connection, pragma: str, deadline: Deadline) -> int:
    return int(connection.wait_for(pragma, deadline)[0][0])
