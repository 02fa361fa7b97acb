"""The storage, and its settings."""

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from songs.errors import StorageClosed, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.ports.maintenance import Finding
from songs.ports.storage import Scope, StorageCapabilities
from songs_sqlite.connection import Connection, translated
from songs_sqlite.files import check_header, make_private
from songs_sqlite.maintenance import Examination, versions
from songs_sqlite.migrations import (
    NEWEST,
    bring_up_to_date,
    check_identity,
    check_library,
    check_schema,
    identity_of,
    warn_of_other_folds,
)
from songs_sqlite.pool import Pool, orphans_exist, refuse_forked_in_use
from songs_sqlite.unit import Unit


class SqliteSettings(BaseModel):
    """The settings of the SQLite storage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=None,
        description="The database file; made, with its folder, when it is missing. "
        "Default: songs-api/songs.db in the platform's folder for application data.",
    )

    @field_validator("path", mode="before")
    @classmethod
    def _names_a_file(cls, value: object) -> object:
        text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if text is None:
            return value
        # SQLite gives these a meaning of their own, under which nothing would be durable or shared.
        if not text or text.startswith((":", "file:")) or "\0" in str(text):
            raise ValueError("must name a file, not ':memory:', a URI or nothing; for a storage in memory use 'memory'")
        return value

    def file(self) -> Path:
        """Return the absolute path of the database file. Does no I/O.

        Raises:
            RuntimeError: `path` is not set, and the user has no home folder to look for a default in.
        """
        chosen = self.path if self.path is not None else _data_folder() / "songs-api" / "songs.db"
        return chosen.expanduser().absolute()


def _data_folder() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    configured = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG base directory specification: a relative path is invalid and is to be ignored.
    return configured if configured.is_absolute() else Path.home() / ".local" / "share"


PATIENCE_S: Final = 10.0
"""How long `open` and `prepare`, which are given no deadline, wait for a lock that another process holds."""

SWEEP_S: Final = 4.0
"""How long `prepare` removes what deleted songs left behind; writes go on with it."""


class SqliteStorage:
    """The storage in the file at `path`, through at most `connections` connections.

    Args:
        path: The absolute path of the file.
        clock: What the patience of `open` and `prepare` is measured by, and what pauses between looks at a lock.
        connections: How many units of work may be open at once in this process; more wait for their turn.
    """

    capabilities: Final = StorageCapabilities(
        durable=True, shared=True, transactions=True, snapshot_reads=True, maintenance=True
    )

    def __init__(self, path: Path, clock: Clock, *, connections: int) -> None:
        self.path: Final = path
        self._clock = clock
        self._connections = connections
        self._pool: Pool | None = None
        self._turning = threading.Lock()

    def open(self) -> None:
        self._open(lambda _connection, _deadline: None)

    def open_existing(self, identity: str | None = None) -> None:
        def check(connection: Connection | None, deadline: Deadline) -> None:
            if connection is None:
                raise StorageUnavailable(f"{self.path} is not there, or was not prepared; run `songs prepare`.")
            check_identity(connection, self.path, identity, deadline)

        self._open(check)
        pool = self._opened()
        with _connected(pool, Deadline.after(self._clock, PATIENCE_S)) as connection:
            pool.has_orphans = orphans_exist(connection)

    def identity(self) -> str:
        deadline = Deadline.after(self._clock, PATIENCE_S)
        with _connected(self._opened(), deadline) as connection:
            return identity_of(connection, self.path, deadline)

    def prepare(self) -> None:
        deadline = Deadline.after(self._clock, PATIENCE_S)
        pool = self._opened()
        if not pool.files.are_there:
            make_private(self.path)
            check_header(self.path, NEWEST)
            pool.files.adopt()
            if not pool.files.are_there:
                raise StorageUnavailable(f"The database file {self.path} cannot be made: the link leads nowhere.")
        with _connected(pool, deadline) as connection:
            # Once a lock is held, what is begun is finished.
            connection.deadline = None
            check_schema(connection, self.path, deadline)
            bring_up_to_date(connection, self.path, deadline)
            pool.files.note_log()
            warn_of_other_folds(connection, self.path, deadline)
            sweeping = Deadline.after(self._clock, SWEEP_S)
            while pool.collect_orphans(connection) and sweeping.remaining_s() > 0.0:
                pool.keep_log_short(connection)

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        return Unit(self._pool or self._opened(), scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        with Unit(self._opened(), Scope.READ, deadline) as unit:
            unit.coherence.read()

    def versions(self) -> Mapping[str, str]:
        return versions(self._opened(), self._clock)

    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        yield from Examination(self._opened(), self._clock, repair=repair).findings()

    def close(self) -> None:
        with self._turning:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _open(self, check: Callable[[Connection | None, Deadline], None]) -> None:
        """Open what is there, if `check` has nothing against it, which is given a connection where there is a file."""
        with self._turning:
            if self._pool is not None and self._pool.usable_here:
                return
            refuse_forked_in_use()
            check_library()
            check_header(self.path, NEWEST)
            pool = Pool(self.path, self._connections, self._clock)
            deadline = Deadline.after(self._clock, PATIENCE_S)
            try:
                if pool.files.are_there:
                    with _connected(pool, deadline) as connection:
                        check_schema(connection, self.path, deadline)
                        check(connection, deadline)
                else:
                    check(None, deadline)
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
def _connected(pool: Pool, deadline: Deadline) -> Iterator[Connection]:
    connection = pool.take(deadline)
    usable = False
    try:
        yield connection
        usable = True
    except sqlite3.Error as error:
        raise translated(error) from error
    finally:
        pool.give(connection, usable=usable)
