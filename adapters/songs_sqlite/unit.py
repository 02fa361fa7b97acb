"""One unit of work, and the coherence record in it."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from songs.errors import FieldError, InvalidInput, OutcomeUnknown, SongsError, StorageMismatch, StorageUnavailable
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_plugins.guarded_unit import GuardedUnit
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


class Unit(GuardedUnit[Connection]):
    """A unit of work on a connection of `pool`.

    After an error of the driver, or the end of its time, it answers every call, and a clean end of its block, with that
    error again: SQLite may have rolled the transaction back, and the write that was going on is incomplete.

    A unit that writes begins with ``BEGIN IMMEDIATE``: a transaction that only asks for the write lock after it has
    read fails when another writer came between, and no waiting would help it. A unit that reads fixes its snapshot by
    its first statement, which may find a lock held for a moment and then waits for it.
    """

    __slots__ = ("_fixed", "_leaves_orphans", "_pool")

    def __init__(self, pool: Pool, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._pool = pool
        self._fixed = scope is not Scope.READ
        self._leaves_orphans = False

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

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement; return its rows."""
        connection = self.reading()
        try:
            if self._fixed:
                return connection.rows(sql, parameters)
            rows = connection.wait_for(sql, self._deadline, parameters)
            self._fixed = True
            return rows
        except _DRIVER_ERRORS as error:
            raise self.failed(self._translated(error)) from error

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement of a write; return how many rows it changed."""
        connection = self.reading()
        try:
            return connection.change(sql, parameters)
        except _DRIVER_ERRORS as error:
            raise self.failed(self._translated(error)) from error

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement of a write once for each of `parameters`; return how many rows that changed altogether."""
        connection = self.reading()
        try:
            return connection.change_each(sql, parameters)
        except _DRIVER_ERRORS as error:
            raise self.failed(self._translated(error)) from error

    def leave_orphans(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        self._leaves_orphans = True

    def _begin(self) -> Connection:
        pool = self._pool
        if self._scope is Scope.READ:
            return self._begun(pool)
        if not pool.writing.take(self.left_s):
            raise locked()
        try:
            return self._begun(pool)
        except BaseException:
            pool.writing.end()
            raise

    def _begun(self, pool: Pool) -> Connection:
        connection = pool.take(self._deadline)
        try:
            # After all waiting but that for SQLite's lock, so that one look is enough.
            emptied = pool.files.check()
            if pool.files.is_shorter:
                self._check_size(connection)
            if self._scope is Scope.READ:
                connection.rows("BEGIN")
            else:
                if pool.needs_room():
                    pool.make_room(connection)
                    emptied = pool.files.check()
                if emptied:
                    pool.files.check_emptied(has_frames=connection.has_frames(self._deadline))
                connection.wait_for("BEGIN IMMEDIATE", self._deadline)
        except BaseException as error:
            pool.give(connection, usable=connection.end("ROLLBACK"))
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        return connection

    def _end(self, held: Connection, *, commit: bool) -> None:
        pool = self._pool
        usable = False
        try:
            if self._scope is Scope.READ:
                usable = held.end("END")
            else:
                try:
                    if commit:
                        self._commit(held)
                finally:
                    # Kept after a failure too: on a full disk no other could be opened, and reads would fail as well.
                    usable = held.end("ROLLBACK")
        finally:
            pool.give(held, usable=usable)
            if self._scope is not Scope.READ:
                pool.writing.end()

    def _commit(self, connection: Connection) -> None:
        # What is done is not thrown away at the last moment: a commit is short, and is not interrupted.
        connection.deadline = None
        pool = self._pool
        try:
            connection.change("COMMIT")
        except sqlite3.Error as error:
            pool.note_error(error)
            raise translated_commit(error) from error
        try:
            # Synced is not enough: it must be where others, and the next one who opens the database, look for it.
            pool.files.check_written()
            if pool.files.is_shorter:
                self._check_size(connection)
        except StorageUnavailable as error:
            raise OutcomeUnknown(error.detail) from error
        except sqlite3.Error as error:
            raise OutcomeUnknown("The database cannot be read any more.") from error
        pool.keep_log_short(connection)
        pool.has_orphans |= self._leaves_orphans
        if pool.has_orphans and self._deadline.remaining_s() > 0.0:
            pool.collect_orphans(connection)

    def _check_size(self, connection: Connection) -> None:
        self._pool.files.check_shorter(connection.database_bytes())

    def _translated(self, error: Exception) -> SongsError:
        if isinstance(error, sqlite3.Error):
            self._pool.note_error(error)
            return translated(error)
        return InvalidInput([FieldError("", "holds text or a number that cannot be stored")])


_DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeEncodeError, OverflowError)
