"""The fixtures of the suites."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from songs.ports.cache import Cache, CountingCache, Hit, Miss
from songs.ports.clock import Deadline
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.ports.storage import Storage
from songs_contract.harness.driver import StorageUser, lease_of
from songs_contract.harness.session import ContractSession
from songs_contract.harness.subject import Subject, place
from songs_plugins import AdapterSpec, CacheFaultInjector, CountingFaultInjector, FaultInjector, Port

LIMIT: Final = RateLimit(5, 60)
PLENTY: Final = RateLimit(100_000, 60)
TTL_S: Final = 60.0


@dataclass(frozen=True)
class CountingCacheUser:
    """Short ways to use a counting cache."""

    cache: CountingCache

    def hit(self, bucket: str = "bucket", limit: RateLimit = LIMIT) -> Verdict:
        """Count a hit, whatever the entry is."""
        return self.cache.count_and_get(bucket, limit, "group", "key")[0]

    def get(self, group: str = "group", key: str = "key", bucket: str = "of entries") -> Hit | Miss:
        """Return an entry, for a hit that is allowed."""
        found = self.cache.count_and_get(bucket, PLENTY, group, key)[1]
        assert found is not None, "the cache can answer"
        return found

    def lease(self) -> bytes:
        """Return a lease for the entry, which is not there."""
        found = self.get()
        assert isinstance(found, Miss), f"it is there: {found}"
        assert found.lease is not None
        return found.lease

    def put(self, value: bytes, key: str = "key", ttl_s: float = TTL_S) -> None:
        """Fill an entry of the group that is not there, by means of the cache alone."""
        self.fill(value, lease_of(self.cache, "group", key), key, ttl_s)

    def fill(self, value: bytes, lease: bytes, key: str = "key", ttl_s: float = TTL_S) -> None:
        """Fill an entry of the group with a lease."""
        self.cache.fill("group", key, value, lease=lease, ttl_s=ttl_s)


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
def refusing(injector: CacheFaultInjector) -> CountingFaultInjector:
    """What makes the backend refuse entries and nothing else."""
    if not isinstance(injector, CountingFaultInjector):
        pytest.skip("declared unsupported: refuse_entries of AdapterSpec.faults")
    return injector


@pytest.fixture
def cache(subject: Subject) -> Cache:
    """The cache under test, open and empty; one that keeps nothing is only asked for what it can do."""
    if not subject.declares("keeps"):
        pytest.skip("declared unsupported: keeps")
    opened: Cache = subject.open()
    return opened


@pytest.fixture
def limiter(subject: Subject) -> RateLimiter:
    """The limiter under test, open."""
    if not subject.declares("limits"):
        pytest.skip("declared unsupported: limits")
    opened: RateLimiter = subject.open()
    return opened


@pytest.fixture
def counting(subject: Subject) -> CountingCacheUser:
    """The counting cache under test, open."""
    cache = subject.build()
    if not isinstance(cache, CountingCache):
        pytest.skip("declared unsupported: count_and_get")
    cache.open()
    return CountingCacheUser(cache)


@pytest.fixture
def limiter_spec(counting: CountingCacheUser, contract: ContractSession) -> AdapterSpec:
    """The limiter that is offered under the name of a counting cache."""
    spec = contract.offered.get(Port.LIMITER)
    if spec is None:
        pytest.skip("declared unsupported: a limiter of the same name")
    return spec


@pytest.fixture
def rounds(contract: ContractSession) -> int:
    """How often a test of concurrency repeats itself."""
    return 20 if contract.thorough else 3


@pytest.fixture(params=["UTC", "Pacific/Chatham", "America/St_Johns"])
def time_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """A time zone of the machine."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()
