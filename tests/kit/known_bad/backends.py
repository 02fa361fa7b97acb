"""A backend that can be made to fail, for defects that show only then."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar

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
