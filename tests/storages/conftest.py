"""Every storage there is, each in a place of its own: those of the distribution, and those of strangers."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.postgres.database_user import no_server

from songs.model import Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject, place
from songs_plugins import AdapterSpec, Port
from songs_plugins.registry import Registry

PATIENCE_S = 900.0
"""nx-27017 reads whole collections where MongoDB would use an index."""


class Opened:
    """An open storage."""

    def __init__(self, name: str, subject: Subject) -> None:
        self.name = name
        self.storage: Storage = subject.storage()
        self.clock = subject.clock
        self.use = StorageUser(self.storage, subject)

    def do(self, work: Callable[[UnitOfWork], Any], *, scope: Scope = Scope.READ) -> Any:
        """Run work in a unit of its own."""
        with self.storage.unit_of_work(scope, deadline=Deadline.after(self.clock, PATIENCE_S)) as unit:
            return work(unit)

    def add(self, songs: list[Song]) -> None:
        """Store songs, of which none is there."""
        for start in range(0, len(songs), 500):
            add = partial(_add_many, songs[start : start + 500])
            assert self.do(add, scope=Scope.WRITE_ONE) == frozenset()


def _add_many(songs: list[Song], unit: UnitOfWork) -> frozenset[str]:
    return unit.songs.add_many(songs)


@pytest.fixture(scope="session")
def descriptor(project_root: Path) -> Callable[[str], AdapterSpec]:
    """Return the descriptor of a storage: of the distribution, or of the example."""

    def find(name: str) -> AdapterSpec:
        registry = Registry()
        if name in registry.names():
            return registry.get(Port.STORAGE, name)
        source = project_root / "examples" / f"songs_{name}" / "src"
        sys.path.append(str(source))
        try:
            found: AdapterSpec = importlib.import_module(f"songs_{name}.plugin").songs_adapters()[0]
        finally:
            sys.path.remove(str(source))
        return found

    return find


@pytest.fixture(scope="module")
def opened(
    descriptor: Callable[[str], AdapterSpec], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Opened]]:
    """Open a storage of that name in a new place; it is closed when the module's tests are over."""
    with ExitStack() as closing:

        def open_(name: str) -> Opened:
            if name == "postgres" and (reason := no_server()):
                pytest.skip(reason)
            folder = tmp_path_factory.mktemp(name)
            return Opened(name, closing.enter_context(place(name, descriptor(name), folder)))

        yield open_
