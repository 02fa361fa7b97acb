"""The fixtures of the suites."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from songs.deadline import Deadline
from songs.ports.storage import Storage
from songs_contract.checks import StorageUser
from songs_contract.session import ContractSession
from songs_contract.subject import Subject, place


@pytest.fixture
def contract(request: pytest.FixtureRequest) -> ContractSession:
    """The run that the test is part of."""
    session = request.config.pluginmanager.get_plugin("songs_contract_session")
    assert isinstance(session, ContractSession)
    return session


@pytest.fixture
def subject(request: pytest.FixtureRequest, contract: ContractSession, tmp_path: Path) -> Iterator[Subject]:
    """The adapter under test with an empty place of its own."""
    port = request.module.PORT
    with place(contract.target, contract.specs[port], tmp_path) as found:
        found.declared = lambda: contract.capabilities(port)
        yield found


@pytest.fixture
def storage(subject: Subject) -> Storage:
    """The storage under test, open, prepared and empty."""
    return subject.storage()


@pytest.fixture
def deadline(subject: Subject) -> Callable[[], Deadline]:
    """Return a function that makes deadlines."""
    return subject.deadline


@pytest.fixture
def use(subject: Subject, storage: Storage) -> StorageUser:
    """Short ways to run one unit of work on the storage."""
    return StorageUser(storage, subject)


@pytest.fixture
def rounds(contract: ContractSession) -> int:
    """How often a test of concurrency repeats itself."""
    return 20 if contract.thorough else 3
