"""One unit of work, and the coherence record in it."""

import sqlite3
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from songs.errors import (
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    ScopeViolation,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
)
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_sqlite.accounts import SqliteSessions, SqliteUsers
from songs_sqlite.connection import Connection, Parameters, Row, Transaction, locked, translated, translated_commit
from songs_sqlite.pool import Pool
from songs_sqlite.ratings import SqliteRatings
from songs_sqlite.songs import SqliteSongs

READ: Final = "SELECT epoch, cache_on, cache FROM coherence"
ADVANCE: Final = "UPDATE coherence SET epoch = epoch + 1, cache_on = ?, cache = ? WHERE only = 1 AND epoch = ?"


class SqliteCoherence:
    """The coherence record, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        rows = self._transaction.rows(READ)
        if not rows:
            raise StorageMismatch("The database lacks the coherence record; restore a backup.")
        epoch, cache_on, cache = rows[0]
        return CoherenceRecord(epoch, bool(cache_on), cache)

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        self._transaction.change(ADVANCE, (cache_on, cache, expected_epoch))
        return self.read()


class Unit:
    """A unit of work on a connection of `pool`, to be entered once.

    After an error of the driver, or the end of its time, it answers every call, and a clean end of its block, with that
    error again: SQLite may have rolled the transaction back, and the write that was going on is incomplete.

    A unit that writes begins with ``BEGIN IMMEDIATE``: a transaction that only asks for the write lock after it has
    read fails when another writer came between, and no waiting would help it. A unit that reads fixes its snapshot by
    its first statement, which may find a lock held for a moment and then waits for it.
    """

    __slots__ = (
        "_connection",
        "_deadline",
        "_entered",
        "_failure",
        "_fixed",
        "_leaves",
        "_pool",
        "_scope",
        "_thread",
        "_wrote",
    )

    def __init__(self, pool: Pool, scope: Scope, deadline: Deadline) -> None:
        self._pool = pool
        self._scope = scope
        self._deadline = deadline
        self._connection: Connection | None = None
        self._entered = False
        self._fixed = scope is not Scope.READ
        self._thread = 0
        self._wrote = False
        self._leaves = False
        self._failure: SongsError | None = None

    @property
    def songs(self) -> SqliteSongs:
        """The songs."""
        return SqliteSongs(self)

    @property
    def ratings(self) -> SqliteRatings:
        """The ratings."""
        return SqliteRatings(self)

    @property
    def users(self) -> SqliteUsers:
        """The users."""
        return SqliteUsers(self)

    @property
    def sessions(self) -> SqliteSessions:
        """The sessions."""
        return SqliteSessions(self)

    @property
    def coherence(self) -> SqliteCoherence:
        """The coherence record."""
        return SqliteCoherence(self)

    def __enter__(self) -> Self:
        if self._entered:
            raise ScopeViolation("A unit of work is entered once; ask the storage for another.")
        self._entered = True
        self._thread = threading.get_ident()
        self._deadline.check()
        self._pool.files.check()
        if self._scope is Scope.READ:
            self._begin()
            return self
        if not self._pool.writing.take(self._deadline.remaining_s()):
            raise locked()
        try:
            self._begin()
        except BaseException:
            self._pool.writing.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            raise ScopeViolation("A unit of work is left once, after it was entered.")
        if self._pool.inherited and kind is not None:
            return
        self._pool.refuse_inherited()
        usable = False
        try:
            if self._scope is Scope.READ:
                usable = connection.end("END")
            else:
                try:
                    if kind is None and self._failure is None:
                        self._commit(connection)
                finally:
                    # Kept after a failure too: on a full disk no other could be opened, and reads would fail as well.
                    usable = connection.end("ROLLBACK")
        finally:
            self._pool.give(connection, usable=usable)
            if self._scope is not Scope.READ:
                self._pool.writing.end()
        if kind is None and self._failure is not None:
            # The block swallowed an error after which the transaction may be incomplete: it must not look committed.
            raise self._failure

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement; return its rows."""
        connection = self._open_connection()
        try:
            if self._fixed:
                return connection.rows(sql, parameters)
            rows = connection.wait_for(sql, self._deadline, parameters)
            self._fixed = True
            return rows
        except _DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement of a write; return how many rows it changed."""
        connection = self._open_connection()
        try:
            return connection.change(sql, parameters)
        except _DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement of a write once for each of `parameters`; return how many rows that changed altogether."""
        connection = self._open_connection()
        try:
            return connection.change_each(sql, parameters)
        except _DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def leave_behind(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        self._leaves = True

    def writing(self) -> None:
        """Begin one write of a repository.

        Raises:
            ScopeViolation: The scope does not allow it, or the unit is not open in this thread.
            DeadlineExceeded: The unit's time is used up.
        """
        self._open_connection()
        if self._scope is Scope.READ:
            raise ScopeViolation("A READ unit of work was asked to write; use WRITE_ONE or WRITE_MANY.")
        if self._scope is Scope.WRITE_ONE and self._wrote:
            raise ScopeViolation("A WRITE_ONE unit of work was asked for a second write; use WRITE_MANY.")
        self._wrote = True

    def _begin(self) -> None:
        connection = self._pool.take(self._deadline)
        try:
            self._check_size(connection)
            if self._scope is Scope.READ:
                connection.rows("BEGIN")
            else:
                self._check_log(connection)
                connection.wait_for("BEGIN IMMEDIATE", self._deadline)
        except BaseException as error:
            self._pool.give(connection, usable=connection.end("ROLLBACK"))
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        self._connection = connection

    def _commit(self, connection: Connection) -> None:
        # What is done is not thrown away at the last moment: a commit is short, and is not interrupted.
        connection.deadline = None
        try:
            connection.change("COMMIT")
        except sqlite3.Error as error:
            self._pool.note_error(error)
            raise translated_commit(error) from error
        try:
            # Synced is not enough: it must be where others, and the next one who opens the database, look for it.
            self._pool.files.check_written()
            self._check_size(connection)
        except StorageUnavailable as error:
            raise OutcomeUnknown(error.detail) from error
        except sqlite3.Error as error:
            raise OutcomeUnknown("The database cannot be read any more.") from error
        self._pool.keep_log_short(connection)
        self._pool.has_leftovers |= self._leaves
        if self._pool.has_leftovers and self._deadline.remaining_s() > 0.0:
            self._pool.collect_leftovers(connection)

    def _check_log(self, connection: Connection) -> None:
        self._pool.make_room(connection)
        files = self._pool.files
        if files.check():
            files.check_emptied(has_frames=connection.has_frames(self._deadline))

    def _check_size(self, connection: Connection) -> None:
        if self._pool.files.is_shorter:
            self._pool.files.check_shorter(connection.database_bytes())

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise ScopeViolation("A unit of work can be used within its with block only.")
        if threading.get_ident() != self._thread:
            raise ScopeViolation("A unit of work belongs to the thread that entered its with block.")
        self._pool.refuse_inherited()
        if self._failure is not None:
            raise self._failure
        if self._deadline.remaining_s() <= 0.0:
            # Kept, because it may fall between two statements of one write.
            self._failure = DeadlineExceeded()
            raise self._failure
        return self._connection

    def _failed(self, error: Exception) -> SongsError:
        if isinstance(error, sqlite3.Error):
            self._pool.note_error(error)
            self._failure = translated(error)
        else:
            self._failure = InvalidInput([FieldError("", "holds text or a number that cannot be stored")])
        return self._failure


_DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeEncodeError, OverflowError)
