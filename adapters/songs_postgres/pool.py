"""The connections of one process.

psycopg_pool would do, but for two things: it connects in the background, so that callers learn after their whole time
that there is no server, and not why; and to see that an idle connection has died it asks the server each time.
"""

import os
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from songs.errors import StorageClosed, StorageUnavailable
from songs.ports.clock import Deadline
from songs_postgres.connection import Connection, connect


class Pool:
    """At most `size` connections at once, made when they are needed and kept for the next one. Thread-safe.

    It belongs to the process that made it: another one on the same connections would read the other's answers.
    `has_leftovers` says that each write is to be followed by the removal of a batch of what deleted songs left behind.
    `tables` is what the names of the tables led to when they were first seen (`schema.TABLES_FOUND`).
    """

    def __init__(self, parameters: Mapping[str, Any], schema_name: str, *, size: int) -> None:
        self.schema_name: Final = schema_name
        self._parameters = parameters
        self._size = size
        self._turns = threading.Semaphore(size)
        self._idle: deque[Connection] = deque()
        self._process = os.getpid()
        self._closed = False
        self.has_leftovers = False
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
        # The one used last comes first, so that the others can be told from a firewall's timeout by keepalives.
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
