"""Not defects, but for those that hang or wait: adapters that the kit itself must be able to deal with."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from songs.deadline import Deadline
from songs.errors import StorageUnavailable, Unsupported
from songs.ports.storage import Scope, UnitOfWork
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterSpec, NoSettings, Port

from . import togethers
from .planting import PlantedStorage, adapter, storage


class _OnALesserServer(PlantedStorage):
    """Has transactions with some servers, and finds out that this one has none."""

    capabilities = replace(MemoryStorage.capabilities, transactions=False)

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Refuse what this server cannot do."""
        if scope is Scope.WRITE_MANY:
            raise Unsupported
        with super().unit_of_work(scope, deadline=deadline) as unit:
            yield unit


declares_less_once_open = adapter(Port.STORAGE, _OnALesserServer, MemoryStorage.capabilities)


class _Hangs(PlantedStorage):
    def ping(self, *, deadline: Deadline) -> None:
        """Never answer."""
        time.sleep(1000)


hangs = storage(_Hangs)


@pytest.fixture
def from_a_fixture() -> Iterator[AdapterSpec]:
    """Yield the descriptor of a storage, and note the end."""
    yield storage(PlantedStorage)
    Path("ended").touch()


@pytest.fixture
def with_arguments(tmp_path: Path) -> AdapterSpec:
    """Return what the kit has no arguments for."""
    return storage(PlantedStorage)


class _OneAtATime(PlantedStorage):
    """Lets no unit begin while another is open."""

    capabilities = replace(MemoryStorage.capabilities, snapshot_reads=False)

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Wait for the turn."""
        turn = self.memory.setdefault("turn", threading.Lock())
        if not turn.acquire(timeout=deadline.remaining_s()):
            raise StorageUnavailable
        try:
            with super().unit_of_work(scope, deadline=deadline) as unit:
                yield unit
        finally:
            turn.release()


one_unit_at_a_time = storage(_OneAtATime)


@contextmanager
def _no_server(folder: Path) -> Iterator[NoSettings]:
    """Find no server."""
    raise RuntimeError("there is no server to test with: set ACME_TEST_URL")
    yield NoSettings()


has_no_sandbox = replace(storage(PlantedStorage), sandbox=_no_server)


joins_without_a_limiter = togethers.right[0]
