"""Connections to the server: no call on one lasts longer than its deadline, and a pool keeps those of a process.

psycopg_pool would do, but for two things: it connects in the background, so that callers learn after their whole time
that there is no server, and not why; and to see that an idle connection has died it asks the server each time.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from select import select
from typing import Any, Final, LiteralString, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg import errors as states
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from songs.errors import StorageClosed, StorageUnavailable
from songs.ports.clock import Deadline
from songs_postgres.errors import NoAnswerError, unreachable

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

GRACE_S: Final = 0.2
"""How long after the deadline an answer is still taken: the server gives up at the deadline, and says so."""
CHECKED_S: Final = 0.1
"""How often a wait looks for signals such as Ctrl-C."""
SHORTEST_CONNECT_S: Final = 2
"""The shortest time limit of libpq: it takes any other for this one."""

SETUP: Final = (
    "SELECT set_config('search_path', %s, false), "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)


class Transaction(Protocol):
    """Statements of one transaction, with errors translated: a unit of work, as its repositories see it."""

    def writing(self) -> object:
        """Begin one write, of any number of statements; raise `ScopeViolation` where the unit may not write."""
        ...

    def leave_orphans(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        ...

    def rows(self, sql: LiteralString, parameters: Sequence[object] = (), *, prepare: bool | None = None) -> list[Row]:
        """Run a statement; return its rows, none where it has none to return."""
        ...


class Connection(psycopg.Connection[Row]):
    """A connection whose every wait ends with `deadline`. Then it is closed: the answer may come, for nobody."""

    deadline: Deadline | None = None
    warned: bool = False
    """The server has warned of something since this was set to False."""

    def wait(self, gen: PQGen[T], interval: float = CHECKED_S, timeout: float | None = None) -> T:
        """Run one exchange with the server.

        Raises:
            NoAnswerError: It took too long.
        """
        if self.deadline is not None:
            timeout = self.deadline.remaining_s() + GRACE_S
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            # The one for a wait that took too long has a class that psycopg keeps to itself, and no SQLSTATE.
            if timeout is None or error.sqlstate is not None or type(error) is not _TIMED_OUT:
                raise
            self.pgconn.finish()
            raise NoAnswerError("no answer in time") from error

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, outside of a transaction, and nothing came from the server unasked, such as its end."""
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        return not select([self.pgconn.socket], [], [], 0)[0]

    def note_warning(self, notice: states.Diagnostic) -> None:
        """Remember that the server warned of something."""
        self.warned = self.warned or notice.severity_nonlocalized == "WARNING"


_TIMED_OUT: Final = states._WaitTimeout  # noqa: SLF001 - nothing else distinguishes it from a broken connection


def connect(parameters: Mapping[str, Any], schema_name: str, deadline: Deadline) -> Connection:
    """Return a new connection.

    It is made in a thread of its own, because looking up the host's name cannot be bounded otherwise.

    Raises:
        StorageUnavailable: It cannot be made, or not in time.
    """
    deadline.check()
    attempt = _Attempt(lambda: _connect(parameters, schema_name, deadline))
    attempt.start()
    return attempt.outcome(deadline.remaining_s())


def _connect(parameters: Mapping[str, Any], schema_name: str, deadline: Deadline) -> Connection:
    limit_s = max(SHORTEST_CONNECT_S, math.ceil(deadline.remaining_s()))
    connection = Connection.connect(**parameters, connect_timeout=limit_s, autocommit=True)
    connection.deadline = deadline
    try:
        connection.execute(SETUP, (f"{schema_name}, pg_temp",))
    except BaseException:
        connection.close()
        raise
    connection.add_notice_handler(connection.note_warning)
    return connection


class _Attempt(threading.Thread):
    """An attempt to connect, which may come too late for the one who waits for it."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        super().__init__(name="songs-postgres-connect", daemon=True)
        self._make = make
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._awaited = True
        self._connection: Connection | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Connect."""
        try:
            connection = self._make()
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            self._error = error
        else:
            with self._turn:
                if self._awaited:
                    self._connection = connection
            if self._connection is None:
                connection.close()
        self._ended.set()

    def outcome(self, patience_s: float) -> Connection:
        """Return the connection, or raise why it was not made."""
        self._ended.wait(patience_s)
        with self._turn:
            self._awaited = False
            if self._connection is not None:
                return self._connection
        if self._error is None:
            raise StorageUnavailable("The database did not answer in time; nothing was changed.")
        if isinstance(self._error, psycopg.Error):
            raise unreachable(self._error) from self._error
        raise self._error


class Pool:
    """At most `size` connections at once, made when they are needed and kept for the next one. Thread-safe.

    It belongs to the process that made it: another one on the same connections would read the other's answers.
    Callers wait for a connection until their deadlines, and do not fail fast, as at a bulkhead: a unit that takes long
    is no stall.
    `has_orphans` says that each write is to be followed by the removal of a batch of ratings of songs that are gone.
    `tables` is what the names of the tables led to when they were first seen (`migrations.TABLES_FOUND`).
    """

    def __init__(self, parameters: Mapping[str, Any], schema_name: str, *, size: int) -> None:
        self.schema_name: Final = schema_name
        self._parameters = parameters
        self._size = size
        self._turns = threading.Semaphore(size)
        self._idle: deque[Connection] = deque()
        self._process = os.getpid()
        self._closed = False
        self.has_orphans = False
        self.tables: str | None = None

    @property
    def usable_here(self) -> bool:
        """Whether it was made by this process."""
        return self._process == os.getpid()

    def take(self, deadline: Deadline) -> Connection:
        """Return a connection to be given back.

        Raises:
            StorageUnavailable: None came free in time, or the server cannot be reached.
        """
        if not self.usable_here:
            raise StorageClosed("The storage was opened before this process was forked; open it again here.")
        deadline.check()
        if not self._turns.acquire(timeout=deadline.remaining_s()):
            raise StorageUnavailable(f"All {self._size} connections to the database are in use; try again soon.")
        try:
            connection = self._idle_one() or connect(self._parameters, self.schema_name, deadline)
        except BaseException:
            self._turns.release()
            raise
        connection.deadline = deadline
        return connection

    def give(self, connection: Connection) -> None:
        """Take a connection back; it is kept if it can be used again."""
        if connection.is_quiet and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()
        self._turns.release()
        if self._closed:
            self._close_idle()

    def check_tables(self, found: str) -> None:
        """Return if the names of the tables lead where they led before; the first time they are all there, note it.

        Raises:
            StorageUnavailable: They lead to others, or to none.
        """
        if self.tables is None:
            if "0" not in found.split():
                self.tables = found
        elif found != self.tables:
            raise StorageUnavailable(
                f"The tables of the schema {self.schema_name!r} are not those of before; bring them back, or start the "
                "service again."
            )

    def close(self) -> None:
        """Close what is idle now, and whatever is given back from now on."""
        self._closed = True
        if self.usable_here:
            self._close_idle()

    def _idle_one(self) -> Connection | None:
        # The one used last comes first; of the others, keepalives show which ones a firewall has cut off.
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_quiet:
                return connection
            connection.close()
        return None

    def _close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return
