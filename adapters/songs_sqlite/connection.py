"""One connection: statements, the values in and out of them, and the errors that they end with.

What a code says about the outcome is taken from SQLite's documentation of its result codes and, for COMMIT, from the
order in which ``sqlite3WalFrames`` works: the frames are written, the last of them marking the commit, then the log is
synced, then the index of the log is brought up to date. A frame that was not written whole fails its checksum, so up to
there nothing is kept. After that a commit that failed is invisible, but a recovery of the log would bring it back.

It needs room on the disk for the log of writes, and for its index, which SQLite maps into memory. SQLite reserves the
index by writing one byte in each `PAGE_BYTES` of it, and maps it then. On a file system with smaller blocks the index
so begins with holes, and a process that writes into a hole while the disk is full is ended by SIGBUS. Small ext4 file
systems have such blocks (1 KiB below 512 MiB).
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageDamaged,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)
from songs.ports.clock import Clock, Deadline

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
    sqlite3.SQLITE_TOOBIG: "A value is too large to be stored.",
}

_DAMAGES: Final = {
    sqlite3.SQLITE_CORRUPT: "The database file is damaged. Run `songs doctor --repair`, which rebuilds indexes; where "
    "that is not enough, stop the service and restore a backup, or save what can be read with "
    "`sqlite3 FILE .recover`.",
}
_OTHER_TYPE: Final = 3091
"""SQLITE_CONSTRAINT_DATATYPE, which the module sqlite3 has no name for."""
_DAMAGED_NUMBER: Final = (
    "A stored counter or total is damaged: it is out of range. Run `songs doctor --repair`, or restore a backup."
)


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
            damage = _DAMAGED_NUMBER if _overflows(error) else _DAMAGES.get(code)
            return StorageDamaged(damage) if damage else StorageUnavailable(_DETAILS.get(code, other))


def _overflows(error: sqlite3.Error) -> bool:
    """Return whether the statement added up what is too large for an integer: a column refuses the type it has then."""
    return getattr(error, "sqlite_errorcode", 0) == _OTHER_TYPE or "integer overflow" in str(error)


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

    def leave_orphans(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        ...

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement of a write once for each of `parameters`; return how many rows that changed altogether."""
        ...


PAGE_BYTES: Final = 4096
REGION_BYTES: Final = 32_768
"""The unit in which the index grows."""
REGION_FRAMES: Final = 4062
"""Frames of the log in its first region; later ones have 4096."""


def may_be_mapped(log: str) -> bool:
    """Return whether an index can be made for a log of this path without danger."""
    try:
        found = os.statvfs(os.path.dirname(log))  # noqa: PTH120 - as the paths that SQLite takes, a text
        log_bytes = os.stat(log).st_size if os.path.exists(log) else 0  # noqa: PTH110, PTH116 - as above
    except OSError:
        return True
    if not found.f_blocks or found.f_frsize >= PAGE_BYTES:
        return True
    regions = 1 + log_bytes // (REGION_FRAMES * PAGE_BYTES)
    return found.f_bavail * found.f_frsize >= regions * REGION_BYTES


def hole_bytes(index: os.stat_result) -> int:
    """Return how much of an index has no place on the disk, where that does harm."""
    return 0 if index.st_blksize >= PAGE_BYTES else max(0, index.st_size - 512 * index.st_blocks)


def fill_holes(index: str) -> bool:
    """Give an index that this process has open the room that it has not yet; return whether it has all."""
    try:
        found = os.stat(index)  # noqa: PTH116 - as above
        if hole_bytes(found):
            # By SQLite's own descriptor: closing another one would end the locks that this process has on the index.
            _allocate(_descriptor(index), found.st_size)
    except FileNotFoundError:
        return True  # there is no index, or the system lists no descriptors
    except OSError as error:
        return error.errno not in {errno.ENOSPC, errno.EDQUOT}
    return True


def _allocate(descriptor: int, size: int) -> None:
    """Give a file room on the disk.

    Not by `os.posix_fallocate`: where a file system cannot do it, glibc writes into every block instead, and so over
    what another process writes there at this moment.

    Raises:
        OSError: There is no room, or the file system cannot do it.
    """
    import ctypes  # noqa: PLC0415 - few need it

    libc = ctypes.CDLL(None, use_errno=True)
    allocate = getattr(libc, "fallocate64", None) or libc.fallocate
    if allocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _descriptor(path: str) -> int:
    """Return the descriptor of an open file."""
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(each.readlink()) == path:
                return int(each.name)
    raise FileNotFoundError
