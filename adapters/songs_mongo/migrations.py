"""Collections and indexes, and which data these are.

The identity of the data is a random text, which `prepare` stores. MongoDB creates a database, a collection, whatever is
written to, without the unique indexes: a write to a database that was dropped succeeds. So every write that would
succeed there reads the record of the identity afterwards, and is not acknowledged where it is missing or another. Once
it was, every unit begins with that, until the data are back.
"""

import contextlib
import logging
import secrets
from typing import Final

import pymongo
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from songs.errors import StorageMismatch, StorageUnavailable
from songs.text import FOLD_VERSION
from songs_mongo.client import Client
from songs_mongo.encoding import text, whole
from songs_mongo.errors import IMPOSSIBLE
from songs_mongo.schema import (
    COHERENCE,
    IDENTITY,
    INDEXES,
    META,
    RATINGS,
    SCHEMA,
    SHARDED,
    UNIQUE,
    VERSION,
    Bounded,
    Document,
)
from songs_plugins.values import UNREADABLE, damaged

PATIENCE_S: Final = 10.0
"""How long anything but the building of indexes may take."""
LONGEST_BUILD_S: Final = 7 * 86_400.0
"""The server is sent this limit, and takes one of up to 24 days."""
IDENTITY_BYTES: Final = 16

_log: Final = logging.getLogger("songs_mongo")


def check_schema(database: Database[Document]) -> Document | None:
    """Return the record of schema and fold; None where the database was not prepared yet.

    Raises:
        StorageMismatch: The data is of a newer version.
    """
    record = database[META].find_one({"_id": SCHEMA})
    if record is not None and _checked(record)["version"] > VERSION:
        raise StorageMismatch(
            f"The database {database.name!r} has schema version {record['version']}; this program knows versions up to "
            f"{VERSION}. Use a newer release, or another database."
        )
    return record


def bring_up_to_date(database: Database[Document], bounded: Bounded = pymongo.timeout) -> str:
    """Create what is missing; warn where the songs were folded by another version. Return the identity of the data."""
    with bounded(PATIENCE_S):
        record = check_schema(database)
        # The one collection without an index of ours. A transaction should not have to create it.
        with contextlib.suppress(CollectionInvalid):
            database.create_collection(RATINGS)
    # However long the server builds; that it is alive the driver sees by itself, and ends the call where it is not.
    with bounded(LONGEST_BUILD_S):
        create_indexes(database)
    with bounded(PATIENCE_S):
        _insert_if_missing(database, {"_id": COHERENCE, "epoch": 1, "cache_on": True})
        # Last, as a storage that finds the identity may rely on the indexes.
        _insert_if_missing(database, {"_id": SCHEMA, "version": VERSION, "fold": FOLD_VERSION})
        identity = _identify(database)
    if record is not None and record.get("fold") != FOLD_VERSION:
        _log.warning(
            "The songs in the database %r were folded by version %s, and this program folds by %s: searches may miss "
            "some of them, until `songs doctor --repair` has folded them again.",
            database.name,
            record.get("fold"),
            FOLD_VERSION,
        )
    return identity


def create_indexes(database: Database[Document]) -> None:
    """Create the indexes that are missing."""
    for (collection, name), members in UNIQUE.items():
        database[collection].create_index([(each, pymongo.ASCENDING) for each in members], name=name, unique=True)
    for (collection, name), members in INDEXES.items():
        database[collection].create_index([(each, pymongo.ASCENDING) for each in members], name=name)


def shard(client: Client, database: str) -> None:
    """Shard a database that has no data yet as docs/operations.md says, where the client is one of a sharded cluster.

    A server that takes itself for a router and knows no shards is left as it is.
    """
    if client.admin.command("hello").get("msg") != "isdbgrid":
        return
    try:
        client.admin.command("enableSharding", database)
        for collection, key in SHARDED.items():
            client.admin.command("shardCollection", f"{database}.{collection}", key=key)
    except OperationFailure as error:
        if error.code not in IMPOSSIBLE:
            raise


def _insert_if_missing(database: Database[Document], document: Document) -> None:
    if database[META].find_one({"_id": document["_id"]}) is None:
        with contextlib.suppress(DuplicateKeyError):
            database[META].insert_one(document)


def _identify(database: Database[Document]) -> str:
    """Give the data an identity, unless they have one; return the one that they have.

    Of two who do this at once one makes the change. The other one's matches nothing, and waits for the majority all
    the same: then the one who won is seen by a read of what the majority has.
    """
    mine = secrets.token_urlsafe(IDENTITY_BYTES)
    database[META].update_one({"_id": SCHEMA, IDENTITY: {"$exists": False}}, {"$set": {IDENTITY: mine}})
    identity = _identity_in(database[META].find_one({"_id": SCHEMA}))
    if identity is None:
        raise StorageUnavailable(f"The database {database.name!r} was dropped while it was prepared.")
    return identity


class Identity:
    """The identity that the data of one storage object are to have. Thread-safe.

    Args:
        database: The name of the database, for what is said of it.
    """

    def __init__(self, database: str) -> None:
        self._database: Final = database
        self._expected: str | None = None
        self.is_away = False
        """Whether other data, or none, were found where these should be."""

    def expect(self, identity: str | None) -> None:
        """Have this be the identity from now on; None: whichever is found first."""
        self._expected = identity
        self.is_away = False

    def take(self, record: Document | None) -> None:
        """Expect what the schema's record says, if there is one."""
        self.expect(_identity_in(record))

    def require(self, record: Document | None, identity: str | None) -> None:
        """Expect `identity`, or any where it is None; raise `StorageUnavailable` where that is not in the record."""
        self.expect(identity)
        self.compare(record)

    def compare(self, record: Document | None) -> str:
        """Return the identity in the schema's record.

        Raises:
            StorageUnavailable: It is missing, or not the one that is expected.
        """
        found = _identity_in(record)
        if found is None or self._expected not in {None, found}:
            self.is_away = True
            raise self._error(found)
        self._expected = found
        self.is_away = False
        return found

    def _error(self, found: str | None) -> StorageUnavailable:
        if found is not None:
            return StorageUnavailable(
                f"The database {self._database!r} holds other data than before; restore them, or start the service "
                "again."
            )
        if self._expected is None:
            return StorageUnavailable(
                f"The database {self._database!r} was not prepared for this version; run `songs prepare`."
            )
        return StorageUnavailable(
            f"The data in the database {self._database!r} are gone; restore them, or start the service again."
        )


def _identity_in(record: Document | None) -> str | None:
    if record is None or _checked(record)["version"] < VERSION:
        return None
    return record.get(IDENTITY)


def _checked(record: Document) -> Document:
    """Return the schema's record, unless it is damaged."""
    try:
        whole(record["version"])
        text(record.get("fold", ""))
        text(record.get(IDENTITY, ""))
    except UNREADABLE as error:
        raise damaged("record", SCHEMA, error) from error
    return record
