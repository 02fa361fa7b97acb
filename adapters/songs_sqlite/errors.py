"""SQLite's errors in the terms of the port.

What a code says about the outcome is taken from SQLite's documentation of its result codes and, for COMMIT, from the
order in which ``sqlite3WalFrames`` works: the frames are written, the last of them marking the commit, then the log is
synced, then the index of the log is brought up to date. A frame that was not written whole fails its checksum, so up to
there nothing is kept. After that a commit that failed is invisible, but a recovery of the log would bring it back.
"""

import sqlite3
from typing import Final

from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)

RETRYABLE: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""Primary codes of a lock that another connection holds: waiting helps."""

NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""Primary codes of writes that failed, perhaps because a file may not grow."""

_NOTHING_KEPT_AT_COMMIT: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT}
)

_DETAILS: Final = {
    sqlite3.SQLITE_FULL: "The disk is full, or the file may not grow; nothing was changed. Free some space.",
    sqlite3.SQLITE_READONLY: "The database is read-only; nothing was changed. Check the owner and mode of its folder.",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened. Check that it exists and may be read and written.",
    sqlite3.SQLITE_PERM: "The database file cannot be opened: permission denied.",
    sqlite3.SQLITE_IOERR: "Reading or writing the database file failed; nothing was changed. Check the disk.",
    sqlite3.SQLITE_NOMEM: "There was not enough memory; nothing was changed.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged. Stop the service and restore a backup, "
    "or save what can be read with `sqlite3 FILE .recover`.",
    sqlite3.SQLITE_TOOBIG: "A value is too large to be stored.",
}


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code, without what extends it; 0 for an error that Python's module made itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def waiting_helps(error: sqlite3.Error) -> bool:
    """Return whether the statement may succeed when another connection has let go of a lock."""
    return primary_code(error) in RETRYABLE


def locked() -> StorageUnavailable:
    """Return the error for a lock that did not come free before the deadline."""
    return StorageUnavailable("Another writer did not let go of the database in time; nothing was changed.")


def translated(error: sqlite3.Error) -> SongsError:
    """Return the error that a caller of the port sees for one that a statement other than COMMIT raised.

    Whatever it is, the transaction must not be committed afterwards: SQLite may have rolled it back already.
    """
    match primary_code(error):
        case sqlite3.SQLITE_INTERRUPT:
            return DeadlineExceeded()
        case sqlite3.SQLITE_BUSY if error.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT:
            return TransientConflict()
        case code if code in RETRYABLE:
            return locked()
        case sqlite3.SQLITE_NOTADB:
            return StorageMismatch("The file is not an SQLite database. Choose another path, or restore a backup.")
        case sqlite3.SQLITE_ERROR if "no such" in str(error):
            return StorageMismatch("The database lacks a table or column of this version; run `songs prepare`.")
        case code:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            other = f"The database refused a statement ({name}); nothing was changed."
            return StorageUnavailable(_DETAILS.get(code, other))


def translated_commit(error: sqlite3.Error) -> SongsError:
    """Return the error that a caller of the port sees for one that COMMIT raised."""
    extended = getattr(error, "sqlite_errorcode", 0)
    kept_nothing = {extended, primary_code(error)} & (_NOTHING_KEPT_AT_COMMIT | RETRYABLE)
    return translated(error) if kept_nothing else OutcomeUnknown()
