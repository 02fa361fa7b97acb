"""The module of the entry point ``mongo``."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from songs_mongo.client import MongoSettings, connect
from songs_mongo.migrations import shard
from songs_mongo.storage import MongoStorage
from songs_mongo.testing import DAMAGES, LOSSES, faults, shared_ephemeral_server
from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl

TEST_URL: Final = "SONGS_TEST_MONGO_URL"


def storage(settings: MongoSettings, context: AdapterContext) -> MongoStorage:
    """Return the storage of these settings, not open yet."""
    # One connection more than there are callers, so that a readiness check does not wait for them.
    return MongoStorage(settings, context.clock, connections=context.concurrency + 1)


@contextmanager
def sandbox(folder: Path) -> Iterator[MongoSettings]:
    """Yield settings for a database of a fresh name, which is dropped at the end.

    It is made in the deployment that ``SONGS_TEST_MONGO_URL`` names, or else in a server of this process's own that
    speaks MongoDB's protocol (the package nx-27017). In a sharded cluster its collections are sharded, so that a run
    of the kit says something about the layout.

    Raises:
        EphemeralServerError: There is neither of them.
    """
    url = os.environ.get(TEST_URL) or shared_ephemeral_server().url
    settings = MongoSettings(url=SecretStr(url), database=f"songs-test-{secrets.token_hex(8)}")
    try:
        with connect(settings, 1) as client:
            shard(client, settings.database)
        yield settings
    finally:
        with connect(settings, 1) as client:
            client.drop_database(settings.database)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the storage."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="mongo",
            summary="a MongoDB deployment, durable, for any number of processes and machines",
            factory=storage,
            settings=MongoSettings,
            capabilities=MongoStorage.declared,
            sandbox=sandbox,
            damages=DAMAGES,
            losses=LOSSES,
            # Only a server of our own can be made to fail.
            faults=None if os.environ.get(TEST_URL) else faults,
        )
    ]
