"""The subject of a run: an adapter, its settings for a private place, a movable clock, and ways to build it."""

import importlib
import inspect
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from songs.model import whole_milliseconds
from songs.ports.clock import Deadline
from songs.ports.storage import Storage
from songs_plugins import AdapterContext, AdapterSpec
from songs_plugins.registry import PluginError, Registry


class MovableClock:
    """The time of the machine, moved by what the test says. Waiting on it moves it instead.

    It runs by itself too, so that a call which waits for something until a deadline does end.
    """

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._wall_ahead = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return whole_milliseconds(datetime.now(UTC) + timedelta(seconds=self._ahead_s) + self._wall_ahead)

    def monotonic_s(self) -> float:
        """Return the monotonic time."""
        return time.monotonic() + self._ahead_s

    def sleep(self, duration_s: float) -> None:
        """Move on by `duration_s` at once."""
        self.advance(max(0.0, duration_s))

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        self._ahead_s += duration_s

    def set_wall_clock(self, ahead: timedelta) -> None:
        """Set the time of day wrong by `ahead`; the monotonic clock does not notice."""
        self._wall_ahead = ahead


class WaitingClock(MovableClock):
    """The same, where waiting takes its time: for what is repeated until a deadline, by a driver that sees no other."""

    def sleep(self, duration_s: float) -> None:
        """Wait."""
        time.sleep(max(0.0, duration_s))


class StandingClock(MovableClock):
    """The same, where no time passes but what a test lets pass: for what holds on a bound exactly.

    Args:
        at: The time of day, which a test may set.
    """

    def __init__(self, at: datetime = datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        """Return the time of day."""
        return self.at

    def monotonic_s(self) -> float:
        """Return the monotonic time."""
        return self._ahead_s

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        super().advance(duration_s)
        self.at += timedelta(seconds=duration_s)


CONCURRENCY = 16
"""How many threads of the kit call one adapter at once, at most."""

_FIXTURES: Final[dict[str, Any]] = {}
"""What was made of fixtures, by target."""
_UNFINISHED: Final[list[Generator[Any]]] = []
"""Fixtures that have something to do in the end."""


class UnknownAdapterError(Exception):
    """There is no such adapter; the message says why and what to do."""


class KitIds:
    """Ids that are short, in order, and different in every process that is given another prefix."""

    def __init__(self, prefix: str = "k") -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)

    def new_id(self) -> str:
        """Return the next id."""
        return f"{self._prefix}{next(self._numbers):010d}"


@dataclass
class Subject:
    """One adapter and a place of its own.

    Attributes:
        target: What the adapter was named by; a child process finds it under the same name.
        spec: Its descriptor.
        settings: The settings of its place: whatever is built from them reaches the same data.
        clock: The clock that it is built with.
        declared: Returns the capabilities of the open adapter, where they are known; the descriptor's count otherwise.
    """

    target: str
    spec: AdapterSpec
    settings: BaseModel
    clock: MovableClock = field(default_factory=MovableClock)
    ids: KitIds = field(default_factory=KitIds)
    declared: Callable[[], object] | None = None
    _built: list[Any] = field(default_factory=list)

    def build(self) -> Any:  # noqa: ANN401 - the port decides the type
        """Return a new object of the adapter, not opened; it is closed when the test ends."""
        adapter = self.spec.build(
            self.settings, AdapterContext(clock=self.clock, ids=self.ids, concurrency=CONCURRENCY)
        )
        self._built.append(adapter)
        return adapter

    def open(self) -> Any:  # noqa: ANN401 - the port decides the type
        """Return a new object of the adapter, open."""
        adapter = self.build()
        adapter.open()
        return adapter

    def storage(self) -> Storage:
        """Return a new object of a storage adapter, open and prepared."""
        storage: Storage = self.open()
        storage.prepare()
        return storage

    def close(self) -> None:
        """Close everything that was built and can be closed."""
        for adapter in reversed(self._built):
            if hasattr(adapter, "close"):
                adapter.close()
        self._built.clear()

    def deadline(self, deadline_s: float = 10.0) -> Deadline:
        """Return a new deadline by the adapter's own clock."""
        return Deadline.after(self.clock, deadline_s)

    def declares(self, capability: str) -> bool:
        """Return whether the adapter declares `capability`; the kit knows adapters by nothing else."""
        declared = self.spec.capabilities if self.declared is None else self.declared()
        return bool(getattr(declared, capability, False))


@contextmanager
def place(target: str, spec: AdapterSpec, folder: Path) -> Iterator[Subject]:
    """Return the adapter with an empty place of its own, closed and removed at the end."""
    settings: AbstractContextManager[BaseModel] = (
        nullcontext(spec.settings()) if spec.sandbox is None else spec.sandbox(folder)
    )
    with settings as found, closing(Subject(target, spec, found)) as subject:
        yield subject


def find(target: str) -> tuple[AdapterSpec, ...]:
    """Return the descriptors that `target` names: an installed adapter's name, or ``module:attribute``.

    The attribute is an `AdapterSpec`, several, a function that returns them, or a pytest fixture without arguments that
    returns or yields them. A fixture is made once in a process; what follows its ``yield`` is run by `end_fixtures`.

    Raises:
        UnknownAdapterError: There are none.
    """
    if ":" not in target:
        try:
            return Registry().load(target)
        except PluginError as error:
            raise UnknownAdapterError(str(error)) from error
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"cannot import {target!r}: {error}"
        raise UnknownAdapterError(msg) from error
    return _specs(_made(found, target) if _is_fixture(found) else found, target)


def end_fixtures() -> None:
    """Run what follows the ``yield`` of fixtures that `find` made."""
    _FIXTURES.clear()
    while _UNFINISHED:
        next(_UNFINISHED.pop(), None)


def plain(settings: BaseModel) -> dict[str, Any]:
    """Return settings as JSON-able values with their secrets in clear, for a child process's standard input alone."""
    values = settings.model_dump(mode="json")
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            values[name] = value.get_secret_value()
    return values


def _is_fixture(found: object) -> bool:
    # Pytest's own class has no public name; calling it is an error, and a decorated function is no such object.
    return hasattr(found, "__wrapped__") and not inspect.isfunction(found)


def _made(fixture: Any, target: str) -> Any:  # noqa: ANN401 - whatever the fixture is of
    if target not in _FIXTURES:
        if inspect.signature(fixture.__wrapped__).parameters:
            msg = f"the fixture {target!r} has arguments, which nobody can fill in here; take a function without any"
            raise UnknownAdapterError(msg)
        made = fixture.__wrapped__()
        if isinstance(made, Generator):
            _UNFINISHED.append(made)
            made = next(made)
        _FIXTURES[target] = made
    return _FIXTURES[target]


def _specs(found: AdapterSpec | Iterable[AdapterSpec] | Callable[[], Any], target: str) -> tuple[AdapterSpec, ...]:
    offered = found() if callable(found) else found
    specs = tuple(offered) if isinstance(offered, Iterable) else (offered,)
    if not specs or not all(isinstance(spec, AdapterSpec) for spec in specs):
        msg = f"{target!r} is neither an AdapterSpec, nor several, nor a function or a fixture that returns them"
        raise UnknownAdapterError(msg)
    return specs
