"""The storage: one database of a deployment, opened by any number of processes."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern

from songs.errors import SongsError, StorageClosed, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs.ports.maintenance import Finding
from songs.ports.storage import Scope, StorageCapabilities
from songs_mongo import maintenance
from songs_mongo.client import (
    PATIENCE_S,
    Attempts,
    Client,
    MongoSettings,
    Primaries,
    connect,
    has_transactions,
    is_replicated,
)
from songs_mongo.errors import UNREADABLE_ANSWER, reading, translated, unreachable, unreadable
from songs_mongo.migrations import Identity, bring_up_to_date, check_schema
from songs_mongo.ratings import sweep
from songs_mongo.schema import Document
from songs_mongo.songs import Selectivity
from songs_mongo.unit import Unit

SWEEP_S: Final = 4.0
"""How long `prepare` removes what deleted songs left behind; the next one goes on."""
CLOSING_S: Final = 1.0
"""How long closing may wait for the server."""

_log: Final = logging.getLogger("songs_mongo")


class MongoStorage:
    """The storage in a database of a MongoDB deployment.

    Args:
        settings: Where it is.
        clock: By which samples of the songs grow old.
        connections: How many connections the pool holds; more callers wait for their turn.
        make_client: Returns the driver's client, with these listeners; replaced by tests.
    """

    declared: Final = StorageCapabilities(
        durable=True, shared=True, transactions=True, snapshot_reads=False, maintenance=True
    )

    def __init__(
        self,
        settings: MongoSettings,
        clock: Clock,
        *,
        connections: int,
        make_client: Callable[[MongoSettings, int, Sequence[CommandListener]], Client] = connect,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._connections = connections
        self._make_client = make_client
        self._selectivity: Final = Selectivity(clock)
        self._attempts: Final = Attempts(clock)
        self._turning = threading.Lock()
        self._client: Client | None = None
        self._process = 0
        self._database: Database[Document] | None = None
        self._transactions = True
        self._primaries: Primaries | None = None
        self._identity: Final = Identity(settings.database)

    @property
    def capabilities(self) -> StorageCapabilities:
        """The abilities of the deployment; before the storage was opened, those of the best one."""
        return replace(self.declared, transactions=self._transactions)

    def open(self) -> None:
        self._open(self._identity.take)

    def open_existing(self, identity: str | None = None) -> None:
        self._open(lambda record: self._identity.require(record, identity))

    def identity(self) -> str:
        with reading(), self._attempts.bounded(PATIENCE_S):
            return self._identity.compare(check_schema(self.database))

    def _open(self, take: Callable[[Document | None], None]) -> None:
        with self._turning:
            if self._client is not None and self._process == os.getpid():
                return
            with _opening():
                client = self._make_client(self._settings, self._connections, [self._attempts])
            try:
                with _opening(), self._attempts.bounded(PATIENCE_S):
                    self._look_at(client, take)
            except BaseException:
                self._close(client)
                raise
            self._client, self._process = client, os.getpid()

    def prepare(self) -> None:
        database = self._opened()[1]
        with reading():
            self._identity.expect(bring_up_to_date(database, self._attempts.bounded))
        self._sweep()

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        _, database = self._opened()
        return Unit(
            database,
            self._selectivity,
            self._attempts,
            self._primaries,
            self._identity,
            scope,
            deadline,
            transactions=self._transactions,
        )

    def ping(self, *, deadline: Deadline) -> None:
        with self.unit_of_work(Scope.READ, deadline=deadline) as unit:
            unit.confirm()

    @property
    def database(self) -> Database[Document]:
        """The database, while the storage is open; raises `StorageClosed`."""
        return self._opened()[1]

    def versions(self) -> Mapping[str, str]:
        return maintenance.versions(self.database, self._attempts.bounded)

    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        yield from maintenance.Examination(self.database, self._attempts.bounded, repair=repair).findings()

    def close(self) -> None:
        with self._turning:
            client, self._client, self._database = self._client, None, None
            if client is not None:
                self._close(client)

    def _close(self, client: Client) -> None:
        # The driver tells the server which sessions end. One that hangs ends them by itself.
        with self._attempts.bounded(CLOSING_S):
            client.close()

    def _sweep(self) -> None:
        # Nothing depends on it: what is left over is ignored, and swept another time.
        deadline = Deadline.after(self._clock, SWEEP_S)
        with contextlib.suppress(SongsError), self.unit_of_work(Scope.WRITE_ONE, deadline=deadline) as unit:
            songs = sweep(unit)
            if songs:
                _log.info("removed what %d deleted songs had left behind", songs)

    def _look_at(self, client: Client, take: Callable[[Document | None], None]) -> None:
        replicated = is_replicated(client)
        self._transactions = has_transactions(client, self._settings, replicated=replicated)
        # A stand-alone server has one copy of everything, and no majority to ask.
        concern = ReadConcern("majority") if replicated else ReadConcern()
        database: Database[Document] = client.get_database(self._settings.database, read_concern=concern)
        take(check_schema(database))
        self._primaries = Primaries(client) if replicated else None
        if self._primaries is not None:
            self._primaries.confirm(database)
        self._database = database

    def _opened(self) -> tuple[Client, Database[Document]]:
        client, database = self._client, self._database
        if client is None or database is None:
            raise StorageClosed
        return client, database


@contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except (ConfigurationError, InvalidURI, ValueError, OSError) as error:
        if "wire version" in str(error):
            raise unreachable(error) from None
        # The driver's message may repeat parts of the URL, and the URL may hold a password.
        raise StorageUnavailable(f"SONGS_MONGO_URL cannot be used: {_why_unusable(error)}.") from None
    except PyMongoError as error:
        raise translated(error, writing=False) from error
    except UNREADABLE_ANSWER as error:
        raise unreadable(error) from error


def _why_unusable(error: Exception) -> str:
    if isinstance(error, OSError):
        why = getattr(error, "reason", None) or error.strerror
        return f"a file of certificates (tlsCAFile, tlsCertificateKeyFile) cannot be used ({why})"
    return f"check its host names, its options and the files that they name ({type(error).__name__})"
