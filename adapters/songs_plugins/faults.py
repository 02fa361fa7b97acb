"""A fault injector for backends that an adapter calls through functions of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
When = Literal["before", "after"]


class FailingCalls:
    """Lets one of many calls fail: a `FaultInjector`.

    Args:
        error: Makes what is raised, as the backend would, where nothing was done or where all was.
    """

    def __init__(self, error: Callable[[When], Exception]) -> None:
        self.failed = False
        self._error = error
        self._left = 0
        self._when: When = "before"

    def fail_at(self, call: int, *, when: When) -> None:
        """Let the call number `call` from now on fail, before or after it was made."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Let none fail."""
        self._left = 0

    def counting(self, call: Callable[P, T]) -> Callable[P, T]:
        """Return `call` with the one failure in it."""

        def counted(*arguments: P.args, **options: P.kwargs) -> T:
            self._left -= 1
            if self._left == 0:
                if self._when == "after":
                    call(*arguments, **options)
                self.failed = True
                raise self._error(self._when)
            return call(*arguments, **options)

        return counted


@contextmanager
def moved_away(path: Path) -> Iterator[None]:
    """Have a file or folder under another name for the length of the block: for `AdapterSpec.losses`."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextmanager
def failing(owner: type, *names: str, error: Callable[[When], Exception]) -> Iterator[FailingCalls]:
    """Yield what lets calls of these methods of a class fail, in this process, on all objects.

    For `AdapterSpec.faults`.

    Args:
        owner: The class through which all calls go, whichever object makes them.
        names: Its methods; what none of them does cannot be made to fail.
        error: As `FailingCalls` takes it.
    """
    found = FailingCalls(error)
    whole = {name: vars(owner)[name] for name in names}
    for name, method in whole.items():
        counted = found.counting(getattr(owner, name))
        setattr(owner, name, staticmethod(counted) if isinstance(method, staticmethod) else counted)
    try:
        yield found
    finally:
        for name, method in whole.items():
            setattr(owner, name, method)
