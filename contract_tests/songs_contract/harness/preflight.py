"""Before the suites: an adapter that cannot be built, opened and asked gets one clear failure instead of hundreds.

Capabilities that are declared absent are probed: one that works all the same is reported.
"""

import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import pytest

from songs.ports.cache import Cache, Hit, Miss
from songs.ports.coherence import CoherenceRepository
from songs.ports.limiter import RateLimit, RateLimiter
from songs.ports.ratings import RatingRepository
from songs.ports.sessions import SessionRepository
from songs.ports.songs import SongRepository
from songs.ports.storage import Scope, Storage
from songs.ports.users import UserRepository
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject, place
from songs_contract.law import clauses
from songs_contract.models.samples import song
from songs_contract.report.explanations import FirstStepError, OutOfPatience
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
    if hasattr(spec.port.protocol, "capabilities"):
        # A limiter has them in its descriptor alone: those of a counting cache are the cache's.
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
        raise FirstStepError(name, clause_id, expected, PLACE_CAUSE if name is PLACE else None) from error


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


PATIENCE_S: Final = 2.0


def works_after_all(target: str, spec: AdapterSpec, declared: object) -> list[str]:
    """Return the capabilities that are declared false and seem to work, each tried in a place of its own."""
    found = []
    for (port, capability), probe in _PROBES.items():
        if port is spec.port and getattr(declared, capability, None) is False:
            # Whatever an adapter does that is asked for what it denies, it does not work.
            with suppress(Exception), TemporaryDirectory() as folder, place(target, spec, Path(folder)) as subject:
                found += [capability] if probe(subject) else []
    return found


def _keeps_data(subject: Subject) -> bool:
    first = subject.storage()
    StorageUser(first, subject).add_songs(song("probe"))
    first.close()
    return StorageUser(subject.storage(), subject).song("probe") is not None


def _is_shared(subject: Subject) -> bool:
    first, second = subject.storage(), subject.storage()
    StorageUser(first, subject).add_songs(song("probe"))
    return StorageUser(second, subject).song("probe") is not None


def _has_transactions(subject: Subject) -> bool:
    storage: Storage = subject.storage()
    use = StorageUser(storage, subject)
    with suppress(_PlantedError), storage.unit_of_work(Scope.WRITE_MANY, deadline=subject.deadline()) as unit:
        unit.songs.add(song("probe"))
        raise _PlantedError
    return use.song("probe") is None


def _has_snapshots(subject: Subject) -> bool:
    storage: Storage = subject.storage()
    use = StorageUser(storage, subject)

    def write() -> None:
        # Where writers wait for readers it may fail, or succeed when nobody asks any more: neither is a mistake.
        with suppress(Exception):
            use.add_songs(song("probe"))

    other = threading.Thread(target=write, daemon=True)
    with storage.unit_of_work(Scope.READ, deadline=subject.deadline()) as unit:
        unit.songs.get("probe")
        other.start()
        other.join(PATIENCE_S)
        waits, hidden = other.is_alive(), unit.songs.get("probe") is None
    other.join(PATIENCE_S)
    return hidden and not waits and use.song("probe") is not None


def _cache_is_shared(subject: Subject) -> bool:
    first: Cache = subject.open()
    second: Cache = subject.open()
    miss = first.get("probe", "key")
    if not isinstance(miss, Miss) or miss.lease is None:
        return False
    first.fill("probe", "key", b"value", lease=miss.lease, ttl_s=60.0)
    return second.get("probe", "key") == Hit(b"value")


def _limiter_is_shared(subject: Subject) -> bool:
    first: RateLimiter = subject.open()
    second: RateLimiter = subject.open()
    limit = RateLimit(1, 60)
    return first.hit("probe", limit).allowed and not second.hit("probe", limit).allowed


class _PlantedError(Exception):
    """What makes the transaction roll back."""


_PROBES: Final[dict[tuple[Port, str], Callable[[Subject], bool]]] = {
    (Port.STORAGE, "durable"): _keeps_data,
    (Port.STORAGE, "shared"): _is_shared,
    (Port.STORAGE, "transactions"): _has_transactions,
    (Port.STORAGE, "snapshot_reads"): _has_snapshots,
    (Port.CACHE, "shared"): _cache_is_shared,
    (Port.LIMITER, "shared"): _limiter_is_shared,
}
