"""What the entry point ``postgres`` loads."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from psycopg import sql
from pydantic import SecretStr

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_postgres.schema import TABLES
from songs_postgres.settings import PostgresSettings
from songs_postgres.storage import PostgresStorage
from songs_postgres.trial import shared_trial_server

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
        TrialServerError: There is neither of them.
    """
    url = os.environ.get(TEST_URL) or shared_trial_server().url
    settings = PostgresSettings(url=SecretStr(url), schema_name=f"songs_test_{secrets.token_hex(8)}")
    try:
        yield settings
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(settings.schema_name)))


@contextmanager
def renamed(settings: PostgresSettings) -> Iterator[None]:
    """Let the schema have another name for the length of the block."""
    names = [sql.Identifier(settings.schema_name), sql.Identifier(f"{settings.schema_name}_aside")]
    with psycopg.connect(settings.url.get_secret_value(), autocommit=True) as connection:
        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(rename.format(*names))
        try:
            yield
        finally:
            connection.execute(rename.format(*reversed(names)))


@contextmanager
def restored(settings: PostgresSettings, *, whole: bool) -> Iterator[None]:
    """Have a copy in the place of the tables, as a backup that is restored; of the users alone, or of all of them."""
    names = TABLES if whole else ("users",)
    here, aside = sql.Identifier(settings.schema_name), sql.Identifier(f"{settings.schema_name}_aside")
    with psycopg.connect(settings.url.get_secret_value(), autocommit=True) as connection:

        def each(statement: LiteralString) -> None:
            for name in map(sql.Identifier, names):
                connection.execute(sql.SQL(statement).format(name=name, here=here, aside=aside))

        connection.execute(sql.SQL("CREATE SCHEMA {}").format(aside))
        each("ALTER TABLE {here}.{name} SET SCHEMA {aside}")
        each("CREATE TABLE {here}.{name} (LIKE {aside}.{name} INCLUDING ALL)")
        each("INSERT INTO {here}.{name} SELECT * FROM {aside}.{name}")
        try:
            yield
        finally:
            each("DROP TABLE {here}.{name}")
            each("ALTER TABLE {aside}.{name} SET SCHEMA {here}")
            connection.execute(sql.SQL("DROP SCHEMA {}").format(aside))


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
            losses={
                "the schema": renamed,
                "the tables, for a backup": partial(restored, whole=True),
                "a table, for a backup": partial(restored, whole=False),
            },
        )
    ]
