"""How a defect is planted in an adapter that is right otherwise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from pydantic import BaseModel

from songs.ports.clock import Deadline
from songs.ports.storage import Scope, StorageCapabilities
from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs, MemoryUsers
from songs_memory.state import View
from songs_memory.storage import MemoryStorage
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterContext, AdapterSpec, NoSettings, Port


class PlantedUnit(MemoryUnit):
    """A unit whose end a defect changes."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(failed=kind is not None)

    def end(self, *, failed: bool) -> None:
        """Commit, or roll back and free what was taken."""
        super().__exit__(Exception if failed else None, None, None)


class PlantedStorage(MemoryStorage):
    """A storage with room for what a defect remembers from one unit to the next."""

    unit: type[MemoryUnit] = MemoryUnit

    def __init__(self) -> None:
        super().__init__()
        self.memory: dict[Any, Any] = {}

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> MemoryUnit:
        """Return a unit of the class that has the defect."""
        self.current()
        return self.unit(self, scope, deadline)


def memory_of(view: View) -> dict[Any, Any]:
    """Return what the storage of a repository remembers."""
    return cast("PlantedStorage", cast("MemoryUnit", view)._source).memory


def storage(kind: type[PlantedStorage], **capabilities: bool) -> AdapterSpec:
    """Return the descriptor of a storage class, with changed capabilities."""
    declared = replace(kind.capabilities, **capabilities)
    return adapter(Port.STORAGE, type(kind.__name__, (kind,), {"capabilities": declared}), declared)


def unit(kind: type[MemoryUnit], **capabilities: bool) -> AdapterSpec:
    """Return the descriptor of a storage whose units are of a class."""
    return storage(type("Planted", (PlantedStorage,), {"unit": kind}), **capabilities)


def repositories(
    *,
    songs: type[MemorySongs] = MemorySongs,
    ratings: type[MemoryRatings] = MemoryRatings,
    users: type[MemoryUsers] = MemoryUsers,
    sessions: type[MemorySessions] = MemorySessions,
    coherence: type[MemoryCoherence] = MemoryCoherence,
) -> AdapterSpec:
    """Return the descriptor of a storage with other repositories."""
    kinds = {"songs": songs, "ratings": ratings, "users": users, "sessions": sessions, "coherence": coherence}
    return unit(type("Planted", (MemoryUnit,), {name: property(kind) for name, kind in kinds.items()}))


def adapter(port: Port, build: Callable[[], object], capabilities: StorageCapabilities | None = None) -> AdapterSpec:
    """Return the descriptor of an adapter that needs neither settings nor context."""

    def factory(settings: NoSettings, context: AdapterContext) -> object:
        return build()

    return AdapterSpec(port=port, name="known_bad", summary="", factory=factory, capabilities=capabilities)


def changed(spec: AdapterSpec, factory: Callable[[Any, AdapterContext], object], **settings: object) -> AdapterSpec:
    """Return the descriptor of an adapter with another factory, and with its sandbox's settings changed."""
    inner = spec.sandbox

    @contextmanager
    def sandbox(folder: Path) -> Iterator[BaseModel]:
        if inner is None:
            yield spec.settings(**settings)
            return
        with inner(folder) as found:
            yield found.model_copy(update=settings)

    return replace(spec, name="known_bad", factory=factory, sandbox=sandbox)
