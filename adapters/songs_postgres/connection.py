"""One connection to the server, of which no call lasts longer than its deadline."""

import math
import threading
from collections.abc import Callable, Mapping
from select import select
from typing import Any, Final, TypeAlias, TypeVar

import psycopg
from psycopg import errors as states
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from songs.errors import StorageUnavailable
from songs.ports.clock import Deadline
from songs_postgres.errors import NoAnswerError, unreachable

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]

GRACE_S: Final = 0.2
"""How long after the deadline an answer is still taken: the server gives up at the deadline, and says so."""
CHECKED_S: Final = 0.1
"""How often a wait looks for signals such as Ctrl-C."""
SHORTEST_CONNECT_S: Final = 2
"""What libpq makes of a shorter time limit."""

SETUP: Final = (
    "SELECT set_config('search_path', %s, false), "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)


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


_TIMED_OUT: Final = states._WaitTimeout  # noqa: SLF001 - there is no other way to tell it from a broken connection


def connect(parameters: Mapping[str, Any], schema_name: str, deadline: Deadline) -> Connection:
    """Return a new connection.

    It is made in a thread of its own, because looking up the host's name cannot be bounded otherwise.

    Raises:
        StorageUnavailable: There is none to be had, or not in time.
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
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            self._error = error
        else:
            with self._turn:
                if self._awaited:
                    self._connection = connection
            if self._connection is None:
                connection.close()
        self._ended.set()

    def outcome(self, patience_s: float) -> Connection:
        """Return the connection, or raise why there is none."""
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
