"""Storages whose backend can be made to fail; all but one deal wrongly with that."""

from dataclasses import replace
from typing import ClassVar

from songs.errors import OutcomeUnknown, StorageUnavailable, TransientConflict
from songs.ports.storage import Scope
from songs_plugins import AdapterSpec

from .backends import Backend, DriverError, faults_of
from .planting import PlantedUnit, unit


class _Unit(PlantedUnit):
    backend: ClassVar[Backend]

    def end(self, *, failed: bool) -> None:
        """Commit by one call of the backend, where there is something to commit."""
        if failed or self._scope is Scope.READ:
            super().end(failed=failed)
            return
        commit = super().end
        try:
            self.backend.do(lambda: commit(failed=False))
        except DriverError as error:
            self.bear(error)

    def bear(self, error: DriverError) -> None:
        """Undo what was not done, and tell what is known."""
        if str(error) == "before":
            super().end(failed=True)
            raise StorageUnavailable from error
        raise OutcomeUnknown from error


def _planted(kind: type[_Unit]) -> AdapterSpec:
    backend = Backend()
    return replace(unit(type(kind.__name__, (kind,), {"backend": backend})), faults=faults_of(backend))


bears = _planted(_Unit)


class _Promises(_Unit):
    def bear(self, error: DriverError) -> None:
        """Say that nothing was kept, whatever happened."""
        if str(error) == "before":
            PlantedUnit.end(self, failed=True)
        raise StorageUnavailable from error


unknown_is_called_an_outage = _planted(_Promises)


class _LosesTheCause(_Unit):
    def bear(self, error: DriverError) -> None:
        """Say what is so, and not what the backend said."""
        before = str(error) == "before"
        PlantedUnit.end(self, failed=before)
        raise StorageUnavailable if before else OutcomeUnknown from None


cause_is_lost = _planted(_LosesTheCause)


class _Swallows(_Unit):
    def bear(self, error: DriverError) -> None:
        """Say nothing."""
        if str(error) == "before":
            PlantedUnit.end(self, failed=True)


fault_is_swallowed = _planted(_Swallows)


class _Leaks(_Unit):
    def bear(self, error: DriverError) -> None:
        """Let the driver's error through."""
        if str(error) == "before":
            PlantedUnit.end(self, failed=True)
        raise error


fault_leaks = _planted(_Leaks)


class _BlamesOthers(_Unit):
    def bear(self, error: DriverError) -> None:
        """Take a backend that fails for another writer."""
        if str(error) == "after":
            super().bear(error)
        PlantedUnit.end(self, failed=True)
        raise TransientConflict from error


fault_is_called_a_conflict = _planted(_BlamesOthers)


class _Storms(_Unit):
    def bear(self, error: DriverError) -> None:
        """Ask again, as fast as it goes."""
        last = error
        while str(last) == "before" and self._deadline.remaining_s() > 0.0:
            try:
                self.backend.do(lambda: None)
            except DriverError as again:
                last = again
            else:
                PlantedUnit.end(self, failed=False)
                return
        super().bear(last)


retries_without_a_pause = _planted(_Storms)
