"""A unit of work: one transaction on one connection."""

import math
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Final, LiteralString, Self

import psycopg

from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    ScopeViolation,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
)
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_postgres.accounts import PostgresSessions, PostgresUsers
from songs_postgres.batches import PostgresBatches
from songs_postgres.connection import Connection, Pool, Row, Transaction
from songs_postgres.errors import translated, translated_commit
from songs_postgres.migrations import TABLES_FOUND
from songs_postgres.ratings import PostgresRatings, collect_orphans
from songs_postgres.songs import PostgresSongs

READ: Final = "SELECT epoch, cache_on, cache FROM coherence"
ADVANCE: Final = (
    "UPDATE coherence SET epoch = epoch + 1, cache_on = %s, cache = %s WHERE epoch = %s "
    "RETURNING epoch, cache_on, cache"
)
BEGIN: Final[dict[Scope, LiteralString]] = {
    Scope.READ: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    # A write locks the rows that it decides on. Under a stricter level it would fail where it now waits.
    Scope.WRITE_ONE: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    Scope.WRITE_MANY: "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
}
LIMITS: Final = (
    "SELECT set_config('statement_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true), "
    f"{TABLES_FOUND}"
)
"""Travels ahead of the first statement: what the names of the tables lead to by now is told without a round trip."""
SLACK_MS: Final = 1000
"""How long after the deadline the server rolls back by itself a transaction whose client has vanished."""


class PostgresCoherence:
    """The coherence record, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        rows = self._transaction.rows(READ)
        if not rows:
            # As while a dump is being restored.
            raise StorageMismatch("The database lacks the coherence record; restore a backup.")
        return CoherenceRecord(*rows[0])

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        moved = self._transaction.rows(ADVANCE, (cache_on, cache, expected_epoch))
        return CoherenceRecord(*moved[0]) if moved else self.read()


class Unit:
    """A unit of work on a connection of `pool`, to be entered once.

    It takes a connection with its first statement, which travels together with the beginning of the transaction, and so
    costs no round trip more. After an error of the driver or the end of its time it answers every call, and a clean end
    of its block, with that error again: the server has given the transaction up.
    """

    def __init__(self, pool: Pool, scope: Scope, deadline: Deadline) -> None:
        self._pool = pool
        self._scope = scope
        self._deadline = deadline
        self._connection: Connection | None = None
        self._thread = 0
        self._state = "new"
        self._wrote = False
        self._leaves_orphans = False
        self._failure: SongsError | None = None
        self.songs: Final = PostgresSongs(self)
        self.ratings: Final = PostgresRatings(self)
        self.users: Final = PostgresUsers(self)
        self.sessions: Final = PostgresSessions(self)
        self.coherence: Final = PostgresCoherence(self)
        self.batches: Final = PostgresBatches(self)

    def __enter__(self) -> Self:
        if self._state != "new":
            raise ScopeViolation("A unit of work is entered once; ask the storage for another.")
        self._deadline.check()
        self._state, self._thread = "open", threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        self._state = "left"
        if connection is not None:
            try:
                if kind is None and self._failure is None:
                    self._commit(connection)
                else:
                    self._roll_back(connection)
            finally:
                self._pool.give(connection)
        if kind is None and self._failure is not None:
            # The block swallowed an error after which the transaction is gone: it must not look committed.
            raise self._failure

    def rows(self, sql: LiteralString, parameters: Sequence[object] = (), *, prepare: bool | None = None) -> list[Row]:
        """Run a statement; return its rows, none where it has none to return.

        Args:
            sql: The statement, with ``%s`` for each parameter.
            parameters: Its parameters.
            prepare: Whether the server keeps a plan for it; None: when it is used often.

        Raises:
            ScopeViolation: The unit is not open in this thread.
            SongsError: The driver's error in the terms of the port.
        """
        self._check()
        try:
            if self._connection is None:
                return self._first(sql, parameters, prepare)
            return _found(self._connection.execute(sql, parameters, prepare=prepare))
        except (psycopg.Error, UnicodeError) as failure:
            self._failure = translated(failure)
            raise self._failure from failure

    def leave_orphans(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        self._leaves_orphans = True

    def writing(self) -> None:
        """Begin one write of a repository, of any number of statements.

        Raises:
            ScopeViolation: The scope does not allow it, or the unit is not open in this thread.
        """
        self._check()
        if self._scope is Scope.READ:
            raise ScopeViolation("A READ unit of work was asked to write; use WRITE_ONE or WRITE_MANY.")
        if self._scope is Scope.WRITE_ONE and self._wrote:
            raise ScopeViolation("A WRITE_ONE unit of work was asked for a second write; use WRITE_MANY.")
        self._wrote = True

    def _check(self) -> None:
        if self._state != "open":
            raise ScopeViolation("A unit of work can be used within its with block only.")
        if threading.get_ident() != self._thread:
            raise ScopeViolation("A unit of work belongs to the thread that entered its with block.")
        if self._failure is not None:
            raise self._failure
        if self._deadline.remaining_s() <= 0.0:
            # Kept, because it may fall between two statements of one write.
            self._failure = DeadlineExceeded()
            raise self._failure

    def _first(self, sql: LiteralString, parameters: Sequence[object], prepare: bool | None) -> list[Row]:  # noqa: FBT001 - handed on
        connection = self._pool.take(self._deadline)
        self._connection = connection
        left_ms = math.ceil(self._deadline.remaining_s() * 1000) or 1
        with connection.pipeline():
            connection.execute(BEGIN[self._scope])
            limits = connection.execute(LIMITS, (str(left_ms), str(left_ms + SLACK_MS)))
            cursor = connection.execute(sql, parameters, prepare=prepare)
        try:
            self._pool.check_tables(limits.fetchall()[0][2])
        except StorageUnavailable as error:
            self._failure = error
            raise
        return _found(cursor)

    def _commit(self, connection: Connection) -> None:
        connection.warned = False
        try:
            outcome = connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            if self._scope is Scope.READ:
                return  # what was read is true; the pool looks at the connection
            raise translated_commit(error) from error
        if self._wrote and outcome != "COMMIT":
            raise StorageUnavailable("The database rolled the change back.")
        if self._wrote and connection.warned:
            # The wait for a synchronous standby was cut short: it is kept here, and perhaps nowhere else.
            raise OutcomeUnknown
        self._pool.has_orphans |= self._leaves_orphans
        if self._wrote and self._pool.has_orphans and self._deadline.remaining_s() > 0.0:
            self._pool.has_orphans = collect_orphans(connection)

    def _roll_back(self, connection: Connection) -> None:
        if connection.closed:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()  # which rolls back as well


def _found(cursor: psycopg.Cursor[Row]) -> list[Row]:
    return cursor.fetchall() if cursor.description is not None else []
