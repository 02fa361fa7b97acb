"""The fixtures of the suites."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from songs.deadline import Deadline
from songs.ports.cache import Cache
from songs.ports.limiter import RateLimiter
from songs.ports.storage import Storage
from songs.ports.together import JoinsLimiter
from songs_contract.both import Both, joined
from songs_contract.checks import StorageUser
from songs_contract.session import ContractSession
from songs_contract.subject import Subject, place
from songs_plugins import AdapterSpec, CacheFaultInjector, FaultInjector, Port


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
def injector(subject: Subject) -> Iterator[FaultInjector]:
    """What makes the backend fail; of a cache it has `spoil` as well."""
    if subject.spec.faults is None:
        pytest.skip("declared unsupported: AdapterSpec.faults")
    with subject.spec.faults(subject.settings) as found:
        assert subject.spec.port is not Port.CACHE or isinstance(found, CacheFaultInjector), "it has no `spoil`"
        yield found


@pytest.fixture
def limiter_spec(subject: Subject, contract: ContractSession) -> AdapterSpec:
    """The limiter that is offered under the name of a cache which joins limiters."""
    if not isinstance(subject.build(), JoinsLimiter):
        pytest.skip("declared unsupported: together_with")
    spec = contract.offered.get(Port.LIMITER)
    if spec is None:
        pytest.skip("declared unsupported: a limiter of the same name")
    return spec


@pytest.fixture
def beside(subject: Subject, limiter_spec: AdapterSpec) -> Iterator[Subject]:
    """That limiter, in the cache's place."""
    with closing(subject.beside(limiter_spec)) as found:
        yield found


@pytest.fixture
def both(subject: Subject, beside: Subject) -> Both:
    """Both, open."""
    cache: Cache = subject.open()
    limiter: RateLimiter = beside.open()
    together = joined(cache, limiter)
    if together is None:
        pytest.skip("not tested: together_with returns None")
    return Both(cache, limiter, together)


@pytest.fixture
def rounds(contract: ContractSession) -> int:
    """How often a test of concurrency repeats itself."""
    return 20 if contract.thorough else 3
