"""The first steps: an adapter that cannot be built, opened and asked gets one clear failure instead of hundreds."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from songs.ports.coherence import CoherenceRepository
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.storage import Scope, Storage
from songs.ports.users import UserRepository
from songs_contract.clauses import clauses
from songs_contract.patience import OutOfPatience
from songs_contract.subject import Subject, place
from songs_plugins import AdapterSpec, Port
from songs_plugins.spec import missing_members

T = TypeVar("T")

REPOSITORIES = {
    "songs": SongRepository,
    "ratings": RatingRepository,
    "users": UserRepository,
    "sessions": SessionRepository,
    "coherence": CoherenceRepository,
}

PLACE: Final = "making a place for it (AdapterSpec.settings and sandbox)"
PLACE_CAUSE: Final = (
    "the sandbox lacks something on this machine (what it raised says what), or there is none and the settings have no "
    "defaults."
)


class FirstStepError(Exception):
    """The adapter does not get as far as a first call; nothing else can be tested."""

    def __init__(self, step: str, clause_id: str, expected: str) -> None:
        super().__init__(f"{step} failed; no other clause of this port was tested")
        self.step = step
        self.clauses = [clause_id]
        self.expected = expected
        self.cause = PLACE_CAUSE if step is PLACE else None


@dataclass(frozen=True)
class FirstSteps:
    """What came of the first steps: what the open adapter declares, or why it could not be opened."""

    capabilities: object
    obstacle: FirstStepError | None = None


def take(target: str, spec: AdapterSpec) -> FirstSteps:
    """Build the adapter, open it, and ask it for the first time."""
    found = FirstSteps(spec.capabilities)
    # What was opened as far as it goes may not close either, which would hide why: only the first failure is told.
    with suppress(Exception, OutOfPatience), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            found = _take(spec, lambda: stack.enter_context(place(target, spec, folder)))
        except FirstStepError as obstacle:
            found = FirstSteps(spec.capabilities, obstacle)
    return found


def _take(spec: AdapterSpec, enter_place: Callable[[], Subject]) -> FirstSteps:
    declared: object = spec.capabilities
    law = next(each.id for each in clauses().values() if each.port == spec.port.value)
    subject = _step(PLACE, law, "settings for an empty place of its own", enter_place)
    adapter = _step("building it (AdapterSpec.factory)", law, "an adapter, without I/O", subject.build)
    if hasattr(spec.port.protocol, "open"):
        _step("open()", law, "it returns, and the adapter is ready", adapter.open)
        declared = getattr(adapter, "capabilities", declared)
    if spec.port is Port.STORAGE:
        _ask(subject, adapter)
        _step("close()", "STO-17", "it returns, and may be called again", adapter.close)
    return FirstSteps(declared)


def _ask(subject: Subject, storage: Storage) -> None:
    _step("prepare()", "STO-2", "it returns, with everything there that units need", storage.prepare)
    unit = _step(
        "unit_of_work(Scope.READ, deadline=...)",
        "STO-4",
        "a context manager",
        lambda: storage.unit_of_work(Scope.READ, deadline=subject.deadline()),
    )
    repositories = _step("entering the unit of work", "STO-4", "the unit of work", unit.__enter__)
    for name, protocol in REPOSITORIES.items():
        expected = f"an object with every method of {protocol.__name__}"
        _step(f"unit.{name}", "STO-3", expected, partial(_complete, repositories, name, protocol))
    _step("leaving the unit of work", "STO-4", "None, or False", lambda: unit.__exit__(None, None, None))


def _step(name: str, clause_id: str, expected: str, call: Callable[[], T]) -> T:
    """Return what `call` returns.

    Raises:
        FirstStepError: It raised; that is the cause.
    """
    try:
        return call()
    except (Exception, OutOfPatience, pytest.fail.Exception) as error:
        raise FirstStepError(name, clause_id, expected) from error


def _complete(unit: object, name: str, protocol: type) -> None:
    repository = getattr(unit, name)
    missing = missing_members(repository, protocol)
    if missing:
        msg = f"{type(repository).__qualname__} has no {', '.join(missing)}"
        raise TypeError(msg)


class FirstStepsItem(pytest.Item):
    """The test that is run before all others: the first steps, and what the adapter denies and has all the same."""

    def __init__(self, *, port: Port, **members: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**members)
        self.port = port
        self.works_after_all: list[str] = []

    def runtest(self) -> None:
        """Take the steps."""
        session: Any = self.config.pluginmanager.get_plugin("songs_contract_session")
        obstacle: FirstStepError | None = session.first_steps(self.port).obstacle
        if obstacle is not None:
            raise obstacle
        self.works_after_all = session.works_after_all(self.port)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return what it is called in lists."""
        return self.path, None, self.name
