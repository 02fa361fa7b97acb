"""A server for the tests, and a storage in a schema of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from database_user import MachineClock, User, song
from pydantic import SecretStr
from songs_postgres.plugin import TEST_URL, sandbox
from songs_postgres.settings import PostgresSettings
from songs_postgres.storage import PostgresStorage
from songs_postgres.trial import TrialServer, TrialServerError, programs


def _refuse_without_programs() -> None:
    try:
        programs()
    except TrialServerError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """An open storage in a schema of its own, with one song."""
    if not os.environ.get(TEST_URL):
        _refuse_without_programs()
    with sandbox(tmp_path) as settings:
        user = User(settings, PostgresStorage(settings, MachineClock(), connections=20))
        user.storage.open()
        user.storage.prepare()
        user.add(song())
        yield user
        user.storage.close()


@pytest.fixture(scope="session")
def own_server() -> Iterator[TrialServer]:
    """A server to be stopped and frozen."""
    _refuse_without_programs()
    server = TrialServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def breakable(own_server: TrialServer) -> Iterator[User]:
    """An open storage on that server, with one song."""
    settings = PostgresSettings(url=SecretStr(own_server.url), schema_name="breakable")
    user = User(settings, PostgresStorage(settings, MachineClock(), connections=4))
    user.storage.open()
    user.storage.prepare()
    user.add(song())
    yield user
    user.storage.close()
    user.sql("DROP SCHEMA breakable CASCADE")
