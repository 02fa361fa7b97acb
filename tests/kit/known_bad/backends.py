"""A backend that can be made to fail, for defects that show only then."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Literal, TypeVar

from songs.ports.clock import Clock
from songs_plugins import AdapterContext, AdapterSpec

from .planting import changed

T = TypeVar("T")
B = TypeVar("B", bound="Backend")


class DriverError(Exception):
    """What the driver of this backend raises."""


class Backend:
    """Counts calls, and fails one of them."""

    def __init__(self) -> None:
        self.failed = False
        self._left = 0
        self._when = "before"

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let the call number `call` fail."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Let none fail."""
        self._left = 0

    def do(self, work: Callable[[], T]) -> T:
        """Make one call."""
        self._left -= 1
        if self._left != 0:
            return work()
        if self._when == "after":
            work()
        self.failed = True
        raise DriverError(self._when)


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
