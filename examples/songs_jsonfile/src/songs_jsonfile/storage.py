"""The storage: the smallest one, `songs_plugins.smallest`, and a line of the file for each write."""

import logging
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from songs.errors import SongsError, StorageClosed, StorageUnavailable, Unsupported
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, StorageCapabilities
from songs_jsonfile.lines import putting, records, removing
from songs_jsonfile.log import Log
from songs_plugins.documents import Record
from songs_plugins.smallest import SmallestStorage, SmallestTables, SmallestUnit

SLACK: Final = 1000
"""How many lines the file may hold beyond twice the number of records before it is written anew."""

SHORTENED_AT_ONCE: Final = 20_000
"""With how many records the file is written anew within a request, where it may not grow: a part of a second."""

_logger: Final = logging.getLogger("songs_jsonfile")


class JsonFileUnit(SmallestUnit):
    """A unit of work. It holds nothing between calls: each call has its turn, and a write is done when it returns.

    So there is nothing to commit, to roll back or to free; what was written before an exception is kept (STO-6).
    """

    def __init__(self, storage: "JsonFileStorage", scope: Scope, deadline: Deadline) -> None:
        super().__init__(storage, scope, deadline)
        self._file = storage
        for name in ("songs", "ratings", "users", "sessions", "coherence"):
            setattr(self, name, _InTurn(getattr(self, name), self))

    def put(self, *records: Record) -> None:
        if records:
            tables = self.reading()  # refuses a unit that is out of time: not between the write and the tables
            self._file.write(putting(*records))
            tables.put(*records)

    def remove(self, kind: type[Record], *ids: str) -> None:
        if ids:
            tables = self.reading()
            self._file.write(removing(kind, *ids))
            tables.remove(kind, *ids)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the data to this thread alone, for one call; raise as `reading` and `JsonFileStorage.turn` do."""
        held = self.reading()
        with self._file.turn(self.left_s):
            if held is not self._file.tables():
                raise StorageClosed  # and opened again since
            yield

    def failed(self, error: SongsError) -> SongsError:
        return error

    def _begin(self) -> SmallestTables:
        if self._scope is Scope.WRITE_MANY:
            raise Unsupported("The storage 'jsonfile' has no transactions; use one WRITE_ONE unit for each write.")
        return self._file.tables()

    def _end(self, held: SmallestTables, *, commit: bool) -> None:
        """Do nothing."""


class _InTurn:
    """A repository, of which each call waits for its turn."""

    def __init__(self, repository: object, unit: JsonFileUnit) -> None:
        self._repository = repository
        self._unit = unit

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port declares
        method = getattr(self._repository, name)

        def call(*arguments: object, **options: object) -> object:
            with self._unit.turn():
                return method(*arguments, **options)

        return call


class JsonFileStorage(SmallestStorage):
    """The storage in the file at `path`. Thread-safe: one lock for everything, also for reading."""

    capabilities = StorageCapabilities(durable=True, shared=False, transactions=False, snapshot_reads=False)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._log: Log | None = None

    def open(self) -> None:
        with self._publishing:
            if self._log is None:
                self._log = Log(self._path)
                self._tables = self._log.tables

    def open_existing(self, identity: str | None = None) -> None:
        self.open()
        found = self.identity()
        if not found or identity not in {None, found}:
            self.close()
            raise StorageUnavailable(
                f"{self._path} is another file than before; bring it back, or start again."
                if found
                else f"{self._path} is not there, or was not prepared; run `songs prepare`."
            )

    def identity(self) -> str:
        with self.turn() as log:
            return log.identity

    def prepare(self) -> None:
        with self.turn() as log:
            if not (log.sound and log.identity):
                log.rewrite(self._lines(), identity=log.identity or secrets.token_hex(16))
            elif self._is_outdated(log):
                self._shorten(log)

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> JsonFileUnit:
        self.tables()
        return JsonFileUnit(self, scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        deadline.check()
        with self.turn(deadline.remaining_s()):
            pass

    def close(self) -> None:
        # After a fork, a thread that this process does not have may seem to hold the lock.
        with nullcontext() if self._is_forked() else self._publishing:
            if self._log is not None:
                self._log.close()
            self._log = self._tables = None

    @contextmanager
    def turn(self, timeout_s: float = -1) -> Iterator[Log]:
        """Lend out the file until the block ends, to this thread alone.

        Raises:
            StorageUnavailable: The turn did not come within the time, or the file is not where it was.
            StorageClosed: It was closed, or opened before this process was forked off.
        """
        if self._is_forked():
            raise StorageClosed("The storage was opened before this process was forked; open it in each process.")
        if not self._publishing.acquire(timeout=timeout_s):
            raise StorageUnavailable("Others used the storage until the deadline; nothing was changed. Try again.")
        try:
            if self._log is None:
                raise StorageClosed
            self._log.check_place()
            yield self._log
        finally:
            self._publishing.release()

    def write(self, line: bytes) -> None:
        """Write a line, whose change is then made in memory. Only within `turn`.

        After a sync that failed, the file is first written anew from what is in memory: pages that the kernel could not
        write may count as written the next time.

        Raises:
            StorageUnavailable: It could not be written; nothing was kept.
            OutcomeUnknown: It may have been kept.
        """
        log = self._log
        if log is None:
            raise StorageClosed
        if log.identity and not log.sound:
            log.rewrite(self._lines(), identity=log.identity)
        try:
            log.append(line)
        except StorageUnavailable:
            # Where the log itself takes the room, writing it anew makes some.
            if not (log.sound and self._is_outdated(log, at_most=SHORTENED_AT_ONCE)):
                raise
            self._shorten(log)
            log.append(line)

    def _is_forked(self) -> bool:
        log = self._log
        return log is not None and log.process != os.getpid()

    def _lines(self) -> Iterator[bytes]:
        return map(putting, records(self.tables()))

    def _is_outdated(self, log: Log, *, at_most: float = math.inf) -> bool:
        count = sum(1 for _ in records(self.tables()))
        return log.changes > 2 * count + SLACK and count <= at_most

    def _shorten(self, log: Log) -> None:
        """Write the file anew if there is room for another one; else go on with the long one."""
        try:
            log.rewrite(self._lines(), identity=log.identity)
        except StorageUnavailable as error:
            if not log.sound:
                raise
            _logger.warning("The log stays as long as it is: %s", error.detail)
