"""One connection: statements, the values in and out of them, and the errors that they end with.

What a code says about the outcome is taken from SQLite's documentation of its result codes and, for COMMIT, from the
order in which ``sqlite3WalFrames`` works: the frames are written, the last of them marking the commit, then the log is
synced, then the index of the log is brought up to date. A frame that was not written whole fails its checksum, so up to
there nothing is kept. After that a commit that failed is invisible, but a recovery of the log would bring it back.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)
from songs.model import Role, Session, User
from songs.ports.clock import Clock, Deadline
from songs_plugins.values import milliseconds, moment

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


Row = tuple[Any, ...]
Parameters = tuple[object, ...]

LOCK_SLICE_S: Final = 0.02
"""How long SQLite itself waits for a lock before we look at the deadline. Its pauses grow with the wait, so short
slices also mean that one of several processes is not left behind."""
PAUSE_S: Final = 0.001
"""Between two such waits."""
STEPS_BETWEEN_LOOKS: Final = 10_000
"""Virtual machine steps between two looks at the deadline: below a millisecond."""

_SETUP: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
)


class Connection:
    """A connection to an existing file. Raises the driver's own errors, and `StorageUnavailable` for a lasting lock.

    While `deadline` is set, statements that run past it are interrupted.
    """

    __slots__ = ("_clock", "_raw", "deadline")

    def __init__(self, path: Path, deadline: Deadline, clock: Clock) -> None:
        self._clock = clock
        self.deadline: Deadline | None = deadline
        self._raw = sqlite3.connect(
            path.as_uri() + "?mode=rw",
            uri=True,
            timeout=LOCK_SLICE_S,
            isolation_level=None,
            detect_types=0,
            check_same_thread=False,
            cached_statements=128,
        )
        try:
            for statement in _SETUP:
                self.wait_for(statement, deadline)
            self._raw.set_progress_handler(self._expired, STEPS_BETWEEN_LOOKS)
        except BaseException:
            self._raw.close()
            raise

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's connection."""
        return self._raw

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement to its end, at which its locks are let go; return its rows."""
        return self._raw.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement that returns no rows; return how many it inserted, updated or deleted."""
        return self._raw.execute(sql, parameters).rowcount

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement once for each of `parameters`; return how many rows it changed altogether."""
        return self._raw.executemany(sql, parameters).rowcount

    def wait_for(self, sql: str, deadline: Deadline, parameters: Parameters = ()) -> list[Row]:
        """Run a statement that may find a lock held, again and again until `deadline` has passed.

        Raises:
            StorageUnavailable: The lock did not come free in time.
        """
        while True:
            try:
                return self.rows(sql, parameters)
            except sqlite3.OperationalError as error:
                if not waiting_helps(error):
                    raise
                if deadline.remaining_s() <= 0.0:
                    raise locked() from error
                # Where SQLite sees that waiting could be mutual, it does not wait at all.
                self._clock.sleep(PAUSE_S)

    def open_log(self, deadline: Deadline) -> None:
        """Have the log opened, which the first look at the file does, until `deadline`."""
        self.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1", deadline)

    def has_frames(self, deadline: Deadline) -> bool:
        """Return whether SQLite believes that the log holds anything, or cannot read it; move it into the file."""
        try:
            while True:
                ((busy, frames, _),) = self.rows("PRAGMA wal_checkpoint(PASSIVE)")
                if not busy or frames >= 0:
                    return int(frames) > 0
                if deadline.remaining_s() <= 0.0:
                    raise locked()
                self._clock.sleep(PAUSE_S)
        except sqlite3.Error:
            return True

    def database_bytes(self) -> int:
        """Return how large SQLite believes the database to be, with what is in the log."""
        ((pages, size),) = self.rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
        return int(pages) * int(size)

    def empty_log(self) -> bool:
        """Move the log into the file and empty it, if no reader needs it any more; return whether that was done."""
        try:
            ((busy, *_),) = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # The log stays as it is: nothing is lost, and whatever is wrong will show in the next statement.
            return False
        return not busy

    def end(self, statement: str) -> bool:
        """Run ROLLBACK or END if a transaction is open; return whether the connection may be used again."""
        self.deadline = None
        try:
            if self._raw.in_transaction:
                self._raw.execute(statement)
        except sqlite3.Error:
            return False
        return True

    def close(self) -> None:
        """Close it, which rolls back what is open. Never raises."""
        self.deadline = None
        try:
            self._raw.close()
        except sqlite3.Error:
            # Nothing depends on how an unusable connection ends: the log of writes is recovered by the next one.
            return

    def _expired(self) -> int:
        deadline = self.deadline
        return int(deadline is not None and deadline.remaining_s() <= 0.0)


class Transaction(Protocol):
    """Statements of one transaction, with errors translated."""

    def writing(self) -> object:
        """Begin one write, of any number of statements; raise `ScopeViolation` where the unit may not write."""
        ...

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement; return its rows."""
        ...

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement of a write; return how many rows it changed."""
        ...

    def leave_behind(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        ...

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement of a write once for each of `parameters`; return how many rows that changed altogether."""
        ...


USER_COLUMNS: Final = "id, name, password_hash, role, disabled, created_at_ms, token_version, version"
SESSION_COLUMNS: Final = "id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms"


def user_of(row: Row) -> User:
    """Return the user of a row of `USER_COLUMNS`."""
    return User(
        id=row[0],
        name=row[1],
        password_hash=row[2],
        role=Role(row[3]),
        disabled=bool(row[4]),
        created_at=moment(row[5]),
        token_version=row[6],
        version=row[7],
    )


def session_of(row: Row) -> Session:
    """Return the session of a row of `SESSION_COLUMNS`."""
    return Session(
        id=row[0],
        user_id=row[1],
        current_hash=row[2],
        previous_hash=row[3],
        created_at=moment(row[4]),
        rotated_at=moment(row[5]),
        expires_at=moment(row[6]),
    )


def session_row(session_of: Session) -> Parameters:
    """Return the row of `SESSION_COLUMNS` for a session."""
    return (
        session_of.id,
        session_of.user_id,
        session_of.current_hash,
        session_of.previous_hash,
        milliseconds(session_of.created_at),
        milliseconds(session_of.rotated_at),
        milliseconds(session_of.expires_at),
    )
