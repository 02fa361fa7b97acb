"""What the contract kit is pointed at: the adapter over nx-27017, FerretDB and mongomock, with what each can show.

None has transactions. mongomock lives in one process and keeps nothing.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mongomock
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from songs_mongo import MongoSettings, MongoStorage
from songs_mongo.plugin import songs_adapters
from songs_mongo.testing import faults, losses
from songs_plugins import AdapterContext

(SPEC,) = songs_adapters()
CAPABILITIES = MongoStorage.declared

over_nx = replace(SPEC, capabilities=replace(CAPABILITIES, transactions=False), faults=faults)


class _Whole(Collection[dict[str, Any]]):
    """Asks for whole documents where FerretDB refuses to return parts of them: the answer holds more, not less."""

    def find_one_and_update(self, *arguments: Any, **options: Any) -> Any:
        """Update a document."""
        return super().find_one_and_update(*arguments[:2], **options)

    def find_one_and_delete(self, *arguments: Any, **options: Any) -> Any:
        """Delete a document."""
        return super().find_one_and_delete(*arguments[:1], **options)


class _WholeDatabase(Database[dict[str, Any]]):
    def __getitem__(self, name: str) -> Any:
        """Return a collection."""
        return _Whole(self, name)


class _WholeClient(MongoClient[dict[str, Any]]):
    def get_database(self, name: str | None = None, *_: Any, **options: Any) -> Any:
        """Return a database; reads of the majority are of the one server here."""
        return _WholeDatabase(self, str(name))


def _on_ferretdb(settings: MongoSettings, context: AdapterContext) -> MongoStorage:
    def client(settings: MongoSettings, connections: int, listeners: Any) -> Any:
        url = settings.url.get_secret_value()
        return _WholeClient(url, maxPoolSize=connections, w="majority", journal=True, event_listeners=list(listeners))

    return MongoStorage(settings, context.clock, connections=context.concurrency + 1, make_client=client)


@contextmanager
def _ferretdb(folder: Path) -> Iterator[MongoSettings]:
    url = os.environ["SONGS_TEST_MONGO_URL"]
    yield MongoSettings(url=SecretStr(url), database=f"songs-{secrets.token_hex(8)}")


over_ferretdb = replace(
    SPEC,
    factory=_on_ferretdb,
    sandbox=_ferretdb,
    capabilities=replace(CAPABILITIES, transactions=False),
    faults=None,
)


class _Admin:
    """The one command that mongomock lacks and the storage sends."""

    def command(self, name: str) -> dict[str, Any]:
        """Answer as a stand-alone server."""
        assert name == "hello"
        return {"ok": 1}


class _Client:
    """Databases in memory, which outlive the client as a server's would."""

    admin = _Admin()

    def __init__(self) -> None:
        self._databases: Any = mongomock.MongoClient()

    def close(self) -> None:
        """Do nothing: other storage objects of the test use the same databases."""

    def get_database(self, name: str, **_concerns: object) -> Any:
        """Return a database; the concerns mean nothing here."""
        return self._databases[name]

    def drop_database(self, name: str) -> None:
        """Forget a database."""
        self._databases.drop_database(name)


@cache
def _client() -> Any:
    return _Client()


def _storage(settings: MongoSettings, context: AdapterContext) -> MongoStorage:
    return MongoStorage(settings, context.clock, connections=1, make_client=lambda *_: _client())


@contextmanager
def _sandbox(folder: Path) -> Iterator[MongoSettings]:
    name = f"songs-{secrets.token_hex(8)}"
    yield MongoSettings(database=name)
    _client().drop_database(name)


over_mongomock = replace(
    SPEC,
    factory=_storage,
    sandbox=_sandbox,
    capabilities=replace(CAPABILITIES, transactions=False),
    losses=losses(lambda _: nullcontext(_client())),
    faults=None,
)
