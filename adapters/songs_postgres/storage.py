"""The storage: one schema of a database, opened by any number of processes; and its settings."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from songs.errors import StorageClosed
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, StorageCapabilities
from songs_postgres.connection import Connection, Pool
from songs_postgres.errors import translated
from songs_postgres.migrations import PATIENCE_S, bring_up_to_date, check_database, identity_of, tables_of
from songs_postgres.ratings import collect_orphans, orphans_exist
from songs_postgres.unit import Unit

_FORM: Final = "postgresql://[user[:password]@]host[:port][,...]/database[?options]"


class PostgresSettings(BaseModel):
    """The settings: ``SONGS_POSTGRES_URL``, ``SONGS_POSTGRES_SCHEMA_NAME``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        description=f"The database: {_FORM}, or whatever else libpq understands. TLS is an option of it "
        "(sslmode=verify-full); time limits are not: the storage sets its own.",
    )
    schema_name: str = Field(
        default="songs",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="The schema that holds the tables; two services in one database need two.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        # The URL may hold a password: neither it, nor libpq's message about it, is repeated.
        url = value.get_secret_value()
        try:
            understood = bool(conninfo_to_dict(url))
        except (psycopg.Error, UnicodeError):
            understood = False
        if not understood or "\0" in url:
            raise ValueError(f"must have the form {_FORM}; write characters such as / : ? @ in a password as %2F %3A")
        return value


PARAMETERS: Final[dict[str, Any]] = {
    # Of several hosts, the one that can be written to; and an idle connection that was cut off is noticed.
    "target_session_attrs": "read-write",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "application_name": "songs-api",
}
"""Options of a connection that the URL may change."""

SWEEP_S: Final = 4.0
"""How long `prepare` removes what deleted songs left behind; writes go on with it."""


class PostgresStorage:
    """The storage in a schema of a PostgreSQL database.

    Args:
        settings: Where it is.
        clock: What the patience of `open` and `prepare` is measured by.
        connections: How many units of work may be open at once in this process; more wait for their turn.
    """

    capabilities: Final = StorageCapabilities(durable=True, shared=True, transactions=True, snapshot_reads=True)

    def __init__(self, settings: PostgresSettings, clock: Clock, *, connections: int) -> None:
        self._settings = settings
        self._clock = clock
        self._connections = connections
        self._pool: Pool | None = None
        self._turning = threading.Lock()

    def open(self) -> None:
        self._open(lambda _connection: None)

    def open_existing(self, identity: str | None = None) -> None:
        self._open(lambda connection: tables_of(connection, self._settings.schema_name, identity))
        pool = self._opened()
        with self._connected(pool) as connection:
            pool.has_orphans = orphans_exist(connection)

    def identity(self) -> str:
        with self._connected(self._opened()) as connection:
            return identity_of(connection)

    def prepare(self) -> None:
        with self._connected(self._opened()) as connection:
            bring_up_to_date(connection, self._settings.schema_name, self._clock)
            sweeping = Deadline.after(self._clock, SWEEP_S)
            while sweeping.remaining_s() > 0.0 and collect_orphans(connection):
                connection.deadline = Deadline.after(self._clock, PATIENCE_S)

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        return Unit(self._opened(), scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        with Unit(self._opened(), Scope.READ, deadline) as unit:
            unit.coherence.read()

    def close(self) -> None:
        with self._turning:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _open(self, tables: Callable[[Connection], str | None]) -> None:
        with self._turning:
            if self._pool is not None and self._pool.usable_here:
                return
            given = conninfo_to_dict(self._settings.url.get_secret_value())
            fixed = {"client_encoding": "UTF8"}
            pool = Pool({**PARAMETERS, **given, **fixed}, self._settings.schema_name, size=self._connections)
            try:
                with self._connected(pool) as connection:
                    check_database(connection, self._settings.schema_name)
                    pool.tables = tables(connection)
            except BaseException:
                pool.close()
                raise
            self._pool = pool

    def _opened(self) -> Pool:
        pool = self._pool
        if pool is None:
            raise StorageClosed
        return pool

    @contextmanager
    def _connected(self, pool: Pool) -> Iterator[Connection]:
        connection = pool.take(Deadline.after(self._clock, PATIENCE_S))
        try:
            yield connection
        except psycopg.Error as error:
            raise translated(error) from error
        finally:
            pool.give(connection)
