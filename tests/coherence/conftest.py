"""Several processes in one: services over one storage and one cache, that fail, or let others act, when told to."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from tests.clock import ManualClock

from songs.application.runner import UnitRunner
from songs.caching.coherence import Coherence
from songs.errors import CacheUnavailable
from songs.ports.cache import Cache, CacheCapabilities, Hit, Miss
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs_memory.cache import MemoryCache
from songs_memory.storage import MemoryStorage
from songs_plugins.none import NoCache


def _nothing() -> None:
    pass


class FailingStorage:
    """A storage whose next units fail as the test says: before their body, or after it in place of an answer.

    Attributes:
        before: Raised, one a unit, before the body runs; None lets that unit run.
        after: Raised, one a unit, after the body's writes were committed; None lets that unit answer.
        units: The scope of every unit that was entered.
        during: Called before and after each unit.
    """

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.before: list[Exception | None] = []
        self.after: list[Exception | None] = []
        self.units: list[Scope] = []
        self.during = _nothing

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> AbstractContextManager[UnitOfWork]:
        """Return a unit that may fail."""
        return self._unit(scope, deadline)

    @contextmanager
    def _unit(self, scope: Scope, deadline: Deadline) -> Iterator[UnitOfWork]:
        self.units.append(scope)
        self.during()
        error = self.before.pop(0) if self.before else None
        if error is not None:
            raise error
        with self._inner.unit_of_work(scope, deadline=deadline) as unit:
            yield unit
        self.during()
        error = self.after.pop(0) if self.after else None
        if error is not None:
            raise error


class FailingCache:
    """A cache that all processes of a test share, as one process sees it.

    Attributes:
        inner: The cache that this process reaches now.
        down: Whether it answers this process.
        asked: What it was asked, by this process, whether it answered or not.
        during: Called at every call, before it is answered: others may act then, and time may pass.
        after: The same, when it has been answered, and the answer is on its way.
    """

    capabilities = CacheCapabilities(shared=True)

    def __init__(self, inner: Cache) -> None:
        self.inner = inner
        self.down = False
        self.asked: list[str] = []
        self.during = _nothing
        self.after = _nothing

    @contextmanager
    def _ask(self, what: str) -> Iterator[Cache]:
        self.asked.append(what)
        self.during()
        if self.down:
            raise CacheUnavailable
        yield self.inner
        self.after()

    def open(self) -> None:
        """Do nothing: it is open."""

    def close(self) -> None:
        """Do nothing: others use it."""

    def ping(self) -> str:
        """Ask the inner cache."""
        with self._ask("ping") as inner:
            return inner.ping()

    def get(self, group: str, key: str) -> Hit | Miss:
        """Ask the inner cache."""
        with self._ask("get") as inner:
            return inner.get(group, key)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Ask the inner cache."""
        with self._ask("fill") as inner:
            inner.fill(group, key, value, lease=lease, ttl_s=ttl_s)

    def invalidate(self, groups: Collection[str]) -> str:
        """Ask the inner cache."""
        with self._ask("invalidate") as inner:
            return inner.invalidate(groups)


class Process:
    """One process: its coherence and its view of a cache. All of a test share storage and clock, and most the cache."""

    def __init__(self, clock: ManualClock, storage: FailingStorage, cache: Cache | None) -> None:
        self._clock = clock
        self.cache = FailingCache(cache or NoCache())
        self.runner = UnitRunner(storage, clock, max_calls=64, jitter=lambda: 1.0)  # type: ignore[arg-type]
        self.coherence = Coherence(self.cache if cache else NoCache(), self.runner, clock, ttl_s=300.0)

    def deadline(self) -> Deadline:
        """Return the deadline of a request that begins now."""
        return Deadline.after(self._clock, 3.0)

    def read(self, load: Callable[[], bytes] = lambda: b"loaded") -> bytes:
        """Read the one entry of these tests."""
        return self.coherence.fetch("group", "key", load, deadline=self.deadline())

    def hits(self) -> bool:
        """Return whether a read is answered by the cache."""
        loaded: list[bool] = []

        def load() -> bytes:
            loaded.append(True)
            return b"loaded by this read"

        self.read(load)
        return not loaded

    def wrote(self) -> None:
        """Answer a write."""
        self.coherence.publish_write(["group"])

    @property
    def record(self) -> CoherenceRecord:
        """The record that the storage holds."""
        return self.runner.read(lambda unit: unit.coherence.read(), deadline=self.deadline())

    @property
    def state(self) -> tuple[int, str]:
        """The epoch, and whether a cache is on, announced, or off."""
        record = self.record
        return record.epoch, "on" if record.cache_on else "announced" if record.cache else "off"

    @property
    def identity(self) -> str:
        """That of the cache which this process reaches."""
        return self.cache.inner.ping()

    def move(self, state: str) -> None:
        """Advance the record, as some other process with this cache may."""
        epoch, named = self.record.epoch, "" if state == "off" else self.identity
        self.runner.write(
            lambda unit: unit.coherence.advance(expected_epoch=epoch, cache_on=state == "on", cache=named),
            deadline=self.deadline(),
        )


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def storage() -> Iterator[FailingStorage]:
    """An open memory storage that fails when told to."""
    memory = MemoryStorage()
    memory.open()
    memory.prepare()
    yield FailingStorage(memory)
    memory.close()


@pytest.fixture
def new_cache(clock: ManualClock) -> Callable[[], MemoryCache]:
    """Makes a cache on a server of its own."""

    def make() -> MemoryCache:
        cache = MemoryCache(clock, max_bytes=1_000_000)
        cache.open()
        return cache

    return make


@pytest.fixture
def shared(new_cache: Callable[[], MemoryCache], storage: FailingStorage, clock: ManualClock) -> MemoryCache:
    """The cache that all processes share, as it is when nothing fails: on, in epoch 2."""
    cache = new_cache()
    Process(clock, storage, cache).move("on")
    storage.units.clear()
    return cache


@pytest.fixture
def new_process_on(clock: ManualClock, storage: FailingStorage) -> Callable[[Cache | None], Process]:
    """Starts a process with a cache, or without one."""
    return lambda cache: Process(clock, storage, cache)


@pytest.fixture
def new_process(clock: ManualClock, storage: FailingStorage, shared: MemoryCache) -> Callable[[], Process]:
    """Starts a process."""
    return lambda: Process(clock, storage, shared)


@pytest.fixture
def process(new_process: Callable[[], Process]) -> Process:
    """The process under test."""
    return new_process()


@pytest.fixture
def new_world() -> Callable[..., Any]:
    """Makes five processes over one storage, which let others act whenever they are asked.

    Three share a cache, until they move to another server; one has a cache of its own, and one none.
    """

    def make(kind: Callable[..., Any], chance: Any) -> Any:
        clock, memory = ManualClock(), MemoryStorage()
        memory.open()
        storage = FailingStorage(memory)
        servers = [MemoryCache(clock, max_bytes=1_000_000) for _ in range(3)]
        for server in servers:
            server.open()
        processes = [Process(clock, storage, server) for server in (*[servers[0]] * 3, servers[2], None)]
        world = kind(processes, clock, storage, servers, chance)
        clock.during = storage.during = world.others_act
        for process in processes:
            process.cache.during = process.cache.after = world.others_act
        return world

    return make
