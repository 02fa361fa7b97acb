"""Not defects, but for the second: adapters that the kit itself must be able to deal with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from songs.deadline import Deadline
from songs.errors import Unsupported
from songs.ports.storage import Scope, UnitOfWork
from songs_memory.storage import MemoryStorage
from songs_plugins import Port

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
