"""Storages whose backend can be made to fail; all but one deal wrongly with that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Literal

from songs.errors import OutcomeUnknown, StorageUnavailable
from songs.ports.storage import Scope
from songs_plugins import AdapterSpec, NoSettings

from .planting import PlantedUnit, unit


class _DriverError(Exception):
    """What the driver of this backend raises."""


class _Backend:
    """Counts calls, and fails one of them."""

    def __init__(self) -> None:
        self._left = 0
        self._when = "before"
        self.failed = False

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let the call number `call` fail."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Let none fail."""
        self._left = 0

    def do(self, work: Callable[[], None]) -> None:
        """Make one call."""
        self._left -= 1
        fails = self._left == 0
        if not fails or self._when == "after":
            work()
        if fails:
            self.failed = True
            raise _DriverError(self._when)


class _Unit(PlantedUnit):
    backend: ClassVar[_Backend]

    def end(self, *, failed: bool) -> None:
        """Commit by one call of the backend, where there is something to commit."""
        if failed or self._scope is Scope.READ:
            super().end(failed=failed)
            return
        commit = super().end
        try:
            self.backend.do(lambda: commit(failed=False))
        except _DriverError as error:
            self.bear(error)

    def bear(self, error: _DriverError) -> None:
        """Undo what was not done, and tell what is known."""
        if str(error) == "before":
            super().end(failed=True)
            raise StorageUnavailable from error
        raise OutcomeUnknown from error


def _planted(kind: type[_Unit]) -> AdapterSpec:
    backend = _Backend()

    @contextmanager
    def faults(_settings: NoSettings) -> Iterator[_Backend]:
        yield backend
        backend.heal()

    return replace(unit(type(kind.__name__, (kind,), {"backend": backend})), faults=faults)


bears = _planted(_Unit)


class _Promises(_Unit):
    def bear(self, error: _DriverError) -> None:
        """Say that nothing was kept, whatever happened."""
        PlantedUnit.end(self, failed=str(error) == "before")
        raise StorageUnavailable from error


unknown_is_called_an_outage = _planted(_Promises)


class _Swallows(_Unit):
    def bear(self, error: _DriverError) -> None:
        """Say nothing."""
        PlantedUnit.end(self, failed=str(error) == "before")


fault_is_swallowed = _planted(_Swallows)


class _Leaks(_Unit):
    def bear(self, error: _DriverError) -> None:
        """Let the driver's error through."""
        PlantedUnit.end(self, failed=str(error) == "before")
        raise error


fault_leaks = _planted(_Leaks)
