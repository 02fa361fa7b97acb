"""A unit of work: one transaction on one connection."""

import math
from collections.abc import Sequence
from typing import Final, LiteralString

import psycopg

from songs.errors import OutcomeUnknown, StorageMismatch, StorageUnavailable
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_plugins.guarded_unit import GuardedUnit
from songs_plugins.values import damaged
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
"""Travels ahead of the first statement: to learn which tables the names lead to by now takes no round trip."""
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


class Unit(GuardedUnit[Pool]):
    """A unit of work on a connection of `pool`.

    It takes a connection with its first statement, which travels together with the beginning of the transaction, and so
    costs no round trip more. After an error of the driver or the end of its time it answers every call, and a clean end
    of its block, with that error again: the server has given the transaction up.
    """

    def __init__(self, pool: Pool, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._pool = pool
        self._connection: Connection | None = None
        self._leaves_orphans = False
        self.songs: Final = PostgresSongs(self)
        self.ratings: Final = PostgresRatings(self)
        self.users: Final = PostgresUsers(self)
        self.sessions: Final = PostgresSessions(self)
        self.coherence: Final = PostgresCoherence(self)
        self.batches: Final = PostgresBatches(self)

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
        self.reading()
        try:
            if self._connection is None:
                return self._first(sql, parameters, prepare)
            return _found(self._connection.execute(sql, parameters, prepare=prepare))
        except (psycopg.Error, UnicodeError) as error:
            raise self.failed(translated(error)) from error

    def leave_orphans(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        self._leaves_orphans = True

    def _begin(self) -> Pool:
        return self._pool

    def _end(self, held: Pool, *, commit: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if commit:
                self._commit(connection)
            else:
                self._roll_back(connection)
        finally:
            held.give(connection)

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
            self.failed(error)
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
    try:
        return cursor.fetchall() if cursor.description is not None else []
    except psycopg.DataError as error:
        # Such as a date before the year 1, which the driver cannot represent.
        raise damaged("record", None, error) from error
