"""The module of the entry point ``postgres``."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from pydantic import SecretStr

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_postgres.storage import PostgresSettings, PostgresStorage
from songs_postgres.testing import LOSSES, shared_ephemeral_server

TEST_URL: Final = "SONGS_TEST_POSTGRES_URL"


def storage(settings: PostgresSettings, context: AdapterContext) -> PostgresStorage:
    """Return the storage of these settings, not open yet."""
    # One connection more than there are callers, so that a readiness check does not wait for them.
    return PostgresStorage(settings, context.clock, connections=context.concurrency + 1)


@contextmanager
def sandbox(_folder: Path) -> Iterator[PostgresSettings]:
    """Yield settings for a schema of a fresh name, which is dropped at the end.

    It is made in the database that ``SONGS_TEST_POSTGRES_URL`` names, or else in a server of this process's own.

    Raises:
        EphemeralServerError: There is neither of them.
    """
    url = os.environ.get(TEST_URL) or shared_ephemeral_server().url
    settings = PostgresSettings(url=SecretStr(url), schema_name=f"songs_test_{secrets.token_hex(8)}")
    try:
        yield settings
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(settings.schema_name)))


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the storage."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="postgres",
            summary="a PostgreSQL database, durable, for any number of processes and machines",
            factory=storage,
            settings=PostgresSettings,
            capabilities=PostgresStorage.capabilities,
            sandbox=sandbox,
            losses=LOSSES,
        )
    ]
