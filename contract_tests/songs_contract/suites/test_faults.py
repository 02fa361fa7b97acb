"""A backend that fails, before a call and after it: for adapters whose descriptor says how to make it."""

from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from typing import Final, Literal

import pytest

from songs.errors import DeadlineExceeded, OutcomeUnknown, SongsError, StorageUnavailable, TransientConflict
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject, WaitingClock
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, session, song, user
from songs_contract.suites.test_storage_units import WRITES, everything
from songs_plugins import FaultInjector, LastingFaultInjector, Port

PORT = Port.STORAGE

MAX_CALLS = 50
MOST_ATTEMPTS: Final = 30
"""How often a unit asks within a second, as STO-22 says."""


@pytest.fixture
def filled(use: StorageUser) -> StorageUser:
    """One song, rating, user and session."""
    use.add_songs(song())
    use.rate(rating(key="key-1"))
    use.add_users(user())
    use.add_sessions(session())
    return use


def told(use: StorageUser, name: str) -> SongsError | None:
    """Return the error that a write ends with."""
    try:
        use.write(WRITES[name])
    except SongsError as error:
        return error
    return None


def described(error: SongsError) -> str:
    """Return an error with its cause, which tells where an adapter translates it."""
    return f"{error!r} from {error.__cause__!r}"


@clause("STO-13", "STO-15")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", WRITES)
def test_a_backend_that_fails(
    filled: StorageUser, injector: FaultInjector, name: str, when: Literal["before", "after"]
) -> None:
    """Whichever call of a write fails, the error is the domain's and promises what is so; a repeat completes it."""
    before = filled.read(everything)
    left = [before]
    # Each song of a batch is atomic alone, and when it raises any of them may be stored (SNG-5).
    whole = name != "songs.add_many"
    for call in range(1, MAX_CALLS):
        injector.fail_at(call, when=when)
        error, reached = told(filled, name), injector.failed
        injector.heal()
        left.append(filled.read(everything))
        if error is None:
            assert left[-1] != before, "the write was acknowledged and is not there"
            break
        assert reached, f"the write failed, and no call was made to: {described(error)}"
        assert error.__cause__ is not None, f"{error!r} does not say by its __cause__ what the backend raised"
        assert not isinstance(error, TransientConflict), (
            f"a backend that fails is called a conflict: {described(error)}"
        )
        # Not `before`: an earlier write that ended with OutcomeUnknown may have been kept.
        assert not whole or isinstance(error, OutcomeUnknown) or left[-1] == left[-2], (
            f"kept, though {described(error)} promises that it was not"
        )
    else:
        pytest.fail(f"a write makes more than {MAX_CALLS} calls, or never succeeds")
    filled.write(WRITES[name])
    after = filled.read(everything)
    assert not whole or [each for each in left if each not in (before, after)] == []


ATTEMPTS: Final[dict[str, tuple[Scope, Callable[[UnitOfWork], object]]]] = {
    "reading": (Scope.READ, lambda unit: unit.songs.get("song-1")),
    "adding": (Scope.WRITE_ONE, lambda unit: unit.songs.add(song("song-2"))),
    "rating": (Scope.WRITE_ONE, lambda unit: unit.ratings.add(rating("rating-2"))),
}


@clause("STO-16")
@builds_on("SES-1")
def test_ping_of_a_backend_that_fails(filled: StorageUser, injector: FaultInjector, subject: Subject) -> None:
    """Where a read fails, `ping` does, however lately it succeeded."""
    if not isinstance(injector, LastingFaultInjector):
        pytest.skip("declared unsupported: LastingFaultInjector of AdapterSpec.faults")
    storage = filled.storage
    for _ in range(2):
        storage.ping(deadline=subject.deadline())
        injector.fail_from(1, when="before")
        try:
            filled.song()
            fails = False
        except SongsError:
            fails = True
        injector.fail_from(1, when="before")
        with pytest.raises((StorageUnavailable, DeadlineExceeded)) if fails else nullcontext():
            storage.ping(deadline=subject.deadline(1.0))
        injector.heal()


@clause("STO-22")
@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_backend_that_goes_on_failing(subject: Subject, injector: FaultInjector, name: str) -> None:
    """It is not asked again and again as fast as it answers, for as long as the deadline allows."""
    if not isinstance(injector, LastingFaultInjector):
        pytest.skip("declared unsupported: LastingFaultInjector of AdapterSpec.faults")
    scope, work = ATTEMPTS[name]
    with closing(Subject(subject.target, subject.spec, subject.settings, WaitingClock(), subject.ids)) as waiting:
        storage = waiting.storage()
        StorageUser(storage, waiting).add_songs(song())
        injector.fail_from(1, when="before")
        with suppress(SongsError), storage.unit_of_work(scope, deadline=waiting.deadline(1.0)) as unit:
            work(unit)
        calls = injector.calls
        injector.heal()
    assert calls <= MOST_ATTEMPTS, f"{calls} times in a second"
