"""The fixtures of the suites."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from songs.deadline import Deadline
from songs.ports.storage import Storage
from songs_contract.checks import StorageUser
from songs_contract.session import ContractSession
from songs_contract.subject import Subject
from songs_plugins import NoSettings


@pytest.fixture
def contract(request: pytest.FixtureRequest) -> ContractSession:
    """The run that the test is part of."""
    session = request.config.pluginmanager.get_plugin("songs_contract_session")
    assert isinstance(session, ContractSession)
    return session


@pytest.fixture
def subject(request: pytest.FixtureRequest, contract: ContractSession, tmp_path: Path) -> Iterator[Subject]:
    """The adapter under test with an empty place of its own."""
    spec = contract.specs[request.module.PORT]
    if spec.sandbox is None:
        settings = spec.settings() if spec.settings is not NoSettings else NoSettings()
        yield from _closing(Subject(contract.target, spec, settings))
        return
    with spec.sandbox(tmp_path) as settings:
        yield from _closing(Subject(contract.target, spec, settings))


def _closing(subject: Subject) -> Iterator[Subject]:
    try:
        yield subject
    finally:
        subject.close()


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
