"""One unit of work, and the coherence record in it."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from songs.errors import (
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_plugins.guarded_unit import GuardedUnit
from songs_sqlite.accounts import SqliteSessions, SqliteUsers
from songs_sqlite.connection import Connection, Parameters, Row, Transaction, locked, translated, translated_commit
from songs_sqlite.files import Shortened
from songs_sqlite.group import Group
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

    Units that make one write share transactions (`songs_sqlite.group`); one that makes many has its own.
    """

    __slots__ = ("_fixed", "_group", "_leaves_orphans", "_pool")

    def __init__(self, pool: Pool, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._pool = pool
        self._fixed = scope is not Scope.READ
        self._leaves_orphans = False
        self._group: Group | None = None  # the one whose transaction it shares

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
        if not pool.writing.take(self.left_s, interrupted=self._end_turn):
            raise locked()
        try:
            group = pool.group
            if group is not None:
                if self._scope is Scope.WRITE_ONE and pool.usable_here:
                    return self._joined(group)
                self._finish(group)
            return self._begun(pool)
        except BaseException:
            self._end_turn()
            raise

    def _begun(self, pool: Pool) -> Connection:
        connection = pool.take(self._deadline, writes=self._scope is not Scope.READ)
        try:
            # After all waiting but that for SQLite's lock, so that one look is enough.
            emptied, shortened = pool.files.check()
            if shortened:
                self._check_size(connection, shortened)
            if self._scope is Scope.READ:
                connection.rows("BEGIN")
            else:
                if pool.needs_room():
                    pool.make_room(connection)
                    emptied, _ = pool.files.check()
                if emptied:
                    pool.files.check_emptied(has_frames=connection.has_frames(self._deadline))
                connection.wait_for("BEGIN IMMEDIATE", self._deadline)
        except BaseException as error:
            pool.give(connection, usable=connection.end("ROLLBACK"))
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        return connection

    def _joined(self, group: Group) -> Connection:
        connection = group.connection
        # What is the group's concern is not interrupted: a turn may come when the unit's time is over.
        connection.deadline = None
        try:
            connection.change("SAVEPOINT unit")
        except sqlite3.Error as error:
            raise self._fail(group, self._translated(error), error) from error
        connection.deadline = self._deadline
        self._group = group
        return connection

    def _end(self, held: Connection, *, commit: bool) -> None:
        pool = self._pool
        if self._scope is Scope.READ:
            pool.give(held, usable=held.end("END"))
            return
        # Before the commit: a needless look for them does no harm.
        pool.has_orphans |= commit and self._leaves_orphans
        joined, passed = self._group, False
        if joined is None and not (commit and self._scope is Scope.WRITE_ONE and pool.writing.waiting):
            self._end_alone(held, commit=commit)
            return
        pool.group = group = joined or Group(held, pool.clock)
        try:
            if joined is not None:
                self._end_savepoint(joined, keep=commit)
            place = group.join()
            passed = group.takes_more and pool.writing.pass_on()
        except BaseException:
            group.conclude(TransientConflict())
            raise
        finally:
            if not passed:
                self._end_turn()
        try:
            group.wait(place, self._deadline, wrote=commit and self._wrote)
        except SongsError:
            if self._failure is None:
                raise
            # It says more of a unit that failed by itself.
            raise self._failure from self._failure.__cause__

    def _end_alone(self, connection: Connection, *, commit: bool) -> None:
        usable = False
        try:
            try:
                if commit:
                    self._commit(connection)
            finally:
                # Kept after a failure too: on a full disk no other could be opened, and reads would fail as well.
                usable = connection.end("ROLLBACK")
        finally:
            self._pool.give(connection, usable=usable, wrote=True)
            self._pool.writing.end()

    def _end_savepoint(self, group: Group, *, keep: bool) -> None:
        """Keep what the unit wrote, or undo it; where that fails, or SQLite undid all, the group fails."""
        connection = group.connection
        connection.deadline = None
        try:
            if connection.raw.in_transaction:
                if not keep:
                    connection.change("ROLLBACK TO unit")
                connection.change("RELEASE unit")
                return
            lost = self._failure or TransientConflict()
            self._fail(group, lost, lost.__cause__)
        except sqlite3.Error as error:
            self._fail(group, self._translated(error), error)

    def _fail(self, group: Group, error: SongsError, cause: BaseException | None) -> SongsError:
        """Have a group fail because of this unit's `error`, which is returned."""
        # Interrupted, SQLite undoes all: that is nothing that would befall the others again.
        others = error if isinstance(error, StorageUnavailable) else TransientConflict()
        others.__cause__ = cause
        group.conclude(others)
        return error

    def _end_turn(self) -> None:
        """Let the next one write, after what is open was committed."""
        try:
            if self._pool.group is not None:
                self._finish(self._pool.group)
        finally:
            self._pool.writing.end()

    def _finish(self, group: Group) -> None:
        """Commit what a group wrote, unless it has failed, and conclude it. Raises nothing of its members' concern."""
        pool, connection = self._pool, group.connection
        pool.group = None
        usable = False
        try:
            if group.close():
                self._commit(connection, group)
        except SongsError as error:
            group.conclude(error)
        finally:
            group.conclude(OutcomeUnknown())
            usable = connection.end("ROLLBACK")
            pool.give(connection, usable=usable, wrote=True)

    def _commit(self, connection: Connection, group: Group | None = None) -> None:
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
            shortened = pool.files.check_written()
            if shortened:
                self._check_size(connection, shortened)
        except StorageUnavailable as error:
            raise OutcomeUnknown(error.detail) from error
        except sqlite3.Error as error:
            raise OutcomeUnknown("The database cannot be read any more.") from error
        if group is not None:
            group.conclude()
        pool.keep_log_short(connection)
        if pool.has_orphans and self._deadline.remaining_s() > 0.0:
            pool.collect_orphans(connection)

    def _check_size(self, connection: Connection, shortened: Shortened) -> None:
        self._pool.files.check_shorter(shortened, connection.database_bytes())

    def _translated(self, error: Exception) -> SongsError:
        if isinstance(error, sqlite3.Error):
            self._pool.note_error(error)
            return translated(error)
        return InvalidInput([FieldError("", "holds text or a number that cannot be stored")])


_DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeEncodeError, OverflowError)
