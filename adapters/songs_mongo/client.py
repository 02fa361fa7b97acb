"""The driver's client, and what it finds out about the deployment."""

import logging
from collections.abc import Sequence
from typing import Final

from pymongo import MongoClient, ReadPreference
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener

from songs.errors import StorageMismatch
from songs_mongo.errors import NO_TRANSACTIONS
from songs_mongo.schema import META, Document
from songs_mongo.settings import MongoSettings, Transactions, quiet_driver

Client = MongoClient[Document]

PATIENCE_S: Final = 5.0
"""How long `open`, which is given no deadline, waits for an answer."""
CONNECT_S: Final = 2.0
LONGEST_CALL_S: Final = 30.0
"""What bounds a command that nothing else bounds."""

_log: Final = logging.getLogger("songs_mongo")


def connect(settings: MongoSettings, connections: int, listeners: Sequence[CommandListener] = ()) -> Client:
    """Return a client whose threads start with it: not before a fork.

    Each unit bounds its calls by its deadline; the limits here are what holds for everything else. They and the
    concerns win over what the URL says.
    """
    with quiet_driver() as warned:
        client = _client(settings, connections, listeners)
    if warned:
        _log.warning(
            "the driver has doubts about the options in SONGS_MONGO_URL: one is unknown, given twice or not supported "
            "here; what it says may hold a part of the password, and is not shown"
        )
    return client


def _client(settings: MongoSettings, connections: int, listeners: Sequence[CommandListener]) -> Client:
    return MongoClient(
        settings.url.get_secret_value(),
        appname="songs-api",
        event_listeners=list(listeners),
        maxPoolSize=connections,
        serverSelectionTimeoutMS=int(PATIENCE_S * 1000),
        connectTimeoutMS=int(CONNECT_S * 1000),
        socketTimeoutMS=int(LONGEST_CALL_S * 1000),
        waitQueueTimeoutMS=int(PATIENCE_S * 1000),
        w="majority",
        journal=True,
        retryWrites=True,
        retryReads=True,
        read_preference=ReadPreference.PRIMARY,
    )


def is_replicated(client: Client) -> bool:
    """Return whether the deployment is a replica set or a sharded cluster, not a stand-alone server.

    Topology type and session timeout tell less: a server of its own has sessions too.
    """
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def has_transactions(client: Client, settings: MongoSettings, *, replicated: bool) -> bool:
    """Return whether units of several writes are to be offered: try one where the settings and the deployment allow.

    Raises:
        StorageMismatch: The settings require transactions and there are none.
    """
    if settings.transactions is Transactions.OFF:
        return False
    if replicated and _can_transact(client, settings.database):
        return True
    if settings.transactions is Transactions.REQUIRE:
        raise StorageMismatch(
            "This MongoDB deployment has no transactions, which SONGS_MONGO_TRANSACTIONS=require asks for; "
            "run it as a replica set, or set SONGS_MONGO_TRANSACTIONS=auto."
        )
    _log.warning("this MongoDB deployment has no transactions: each write is atomic alone, tools cannot group them")
    return False


def _can_transact(client: Client, database: str) -> bool:
    with client.start_session() as session:
        session.start_transaction()
        try:
            # Not the start of a transaction says that there are none, but the first command in it.
            client[database][META].find_one({}, session=session)
        except OperationFailure as error:
            if error.code in NO_TRANSACTIONS:
                return False
            raise
        finally:
            session.abort_transaction()
    return True
