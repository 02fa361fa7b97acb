"""A backend that can be made to fail, for defects that show only then."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TypeVar

from songs.ports.clock import Clock
from songs_plugins import AdapterContext, AdapterSpec, FailingCalls

from .planting import changed

T = TypeVar("T")
B = TypeVar("B", bound="Backend")


class DriverError(Exception):
    """What the driver of this backend raises."""


class Backend(FailingCalls):
    """Counts calls, and fails those that it was told to."""

    def __init__(self) -> None:
        super().__init__(DriverError)

    def do(self, work: Callable[[], T]) -> T:
        """Make one call."""
        return self.call(work)


def faults_of(backend: B) -> Callable[[object], AbstractContextManager[B]]:
    """Return what a descriptor has as `faults`."""

    @contextmanager
    def faults(_settings: object) -> Iterator[B]:
        try:
            yield backend
        finally:
            backend.heal()

    return faults


def served_by(backend: B, spec: AdapterSpec, kind: Callable[[B, Clock], object]) -> AdapterSpec:
    """Return the descriptor of a class whose objects ask a backend."""

    def factory(_settings: object, context: AdapterContext) -> object:
        return kind(backend, context.clock)

    return replace(changed(spec, factory), faults=faults_of(backend))
