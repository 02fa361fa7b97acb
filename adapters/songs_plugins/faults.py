"""A fault injector for backends that an adapter calls through functions of its own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
When = Literal["before", "after"]


class FailingCalls:
    """Lets one of many calls fail, or all from one on: a `LastingFaultInjector`. One thread at a time calls.

    Args:
        error: Makes what is raised, as the backend would, where nothing was done or where all was.
    """

    def __init__(self, error: Callable[[When], Exception]) -> None:
        self.failed = False
        self.calls = 0
        self._error = error
        self._first = 0
        self._lasting = False
        self._when: When = "before"

    def fail_at(self, call: int, *, when: When) -> None:
        """Let the call number `call` from now on fail, before or after it was made."""
        self._first, self._lasting, self._when = call, False, when
        self.failed, self.calls = False, 0

    def fail_from(self, call: int, *, when: When) -> None:
        """Let that call and all after it fail."""
        self.fail_at(call, when=when)
        self._lasting = True

    def heal(self) -> None:
        """Let none fail."""
        self._first = 0

    def next_call(self) -> When | None:
        """Count a call; return whether it is to fail, and when."""
        self.calls += 1
        if not self._first or self.calls < self._first or (self.calls > self._first and not self._lasting):
            return None
        self.failed = True
        return self._when

    def call(self, work: Callable[[], T]) -> T:
        """Make one call, which may be one that fails."""
        fails = self.next_call()
        if fails is None:
            return work()
        if fails == "after":
            work()
        raise self._error(fails)

    def counting(self, call: Callable[P, T]) -> Callable[P, T]:
        """Return `call` with the failures in it."""

        def counted(*arguments: P.args, **options: P.kwargs) -> T:
            return self.call(lambda: call(*arguments, **options))

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
def replaced(path: Path) -> Iterator[None]:
    """Have a copy of a file in its place for the length of the block: for `AdapterSpec.losses`."""
    with moved_away(path):
        shutil.copy2(path.with_name(f"{path.name}.aside"), path)
        yield


@contextmanager
def overwritten(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Have other bytes in a file, which stays the same one, for the length of the block: for `AdapterSpec.losses`."""
    content = path.read_bytes()
    path.write_bytes(change(content))
    try:
        yield
    finally:
        path.write_bytes(content)


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
