"""A server for the tests, and a storage in a schema of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.postgres.database_user import User, no_programs, no_server, song

from songs_postgres import PostgresSettings, PostgresStorage
from songs_postgres.plugin import sandbox
from songs_postgres.testing import EphemeralServer, shared_ephemeral_server
from songs_system.system import SystemClock


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """An open storage in a schema of its own, with one song."""
    if reason := no_server():
        pytest.skip(reason)
    with sandbox(tmp_path) as settings:
        user = User(settings, PostgresStorage(settings, SystemClock(), connections=20))
        user.storage.open()
        user.storage.prepare()
        user.add(song())
        yield user
        user.storage.close()


@pytest.fixture
def own_server() -> EphemeralServer:
    """A server to be stopped and frozen: that of this process, which nobody else uses meanwhile."""
    if reason := no_programs():
        pytest.skip(reason)
    return shared_ephemeral_server()


@pytest.fixture
def breakable(own_server: EphemeralServer) -> Iterator[User]:
    """An open storage on that server, with one song."""
    settings = PostgresSettings(url=SecretStr(own_server.url), schema_name="breakable")
    user = User(settings, PostgresStorage(settings, SystemClock(), connections=4))
    user.storage.open()
    user.storage.prepare()
    user.add(song())
    yield user
    user.storage.close()
    user.sql("DROP SCHEMA breakable CASCADE")
