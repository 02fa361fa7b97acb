"""Units of work are run again when that helps, and what follows a commit follows it once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from songs.application.bulkhead import STALLED_S
from songs.application.runner import MAX_ATTEMPTS, OUT_OF_TIME_S, UnitRunner
from songs.errors import (
    OutcomeUnknown,
    Overloaded,
    SongNotFound,
    SongsError,
    StorageUnavailable,
    TransientConflict,
)
from songs.ports.meter import Unmetered
from songs.ports.storage import Scope
from songs_contract.models.samples import song

SONG = song("s1")


class Outcomes:
    """What calls came to, as their threads end."""

    def __init__(self) -> None:
        self._ended: list[type[Exception] | None] = []
        self._changed = threading.Condition()

    def note(self, outcome: type[Exception] | None) -> None:
        """Note that one has ended."""
        with self._changed:
            self._ended.append(outcome)
            self._changed.notify_all()

    def refused(self) -> int:
        """Return how many were refused, once that no longer changes."""
        with self._changed:
            while self._changed.wait(4 * STALLED_S):
                pass
            return self._ended.count(Overloaded)

    def served(self, callers: int) -> int:
        """Return how many were served, once so many were, or after a long time."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended.count(None) == callers, timeout=10)
            return self._ended.count(None)


Stalling = Callable[..., AbstractContextManager[Outcomes]]


@pytest.fixture
def stalling(storage: Any, stack: Any) -> Stalling:
    """Makes a runner whose slots are all taken for the length of a block, in which so many callers wait."""

    @contextmanager
    def start(*, max_calls: int, max_held: int, callers: int) -> Iterator[Outcomes]:
        runner = UnitRunner(storage, stack.clock, max_calls=max_calls, max_held=max_held)
        outcomes = Outcomes()

        def call() -> None:
            try:
                runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline(3600))
                outcomes.note(None)
            except SongsError as error:
                outcomes.note(type(error))

        threads = [threading.Thread(target=call) for _ in range(callers)]
        with held(runner.read, stack):
            for thread in threads:
                thread.start()
            yield outcomes
        for thread in threads:
            thread.join(10)

    return start


@contextmanager
def held(run: Callable[..., object], stack: Any) -> Iterator[None]:
    """Keep one unit of work open in another thread for the length of the block."""
    inside, leave = threading.Event(), threading.Event()

    def hold(_unit: object) -> None:
        inside.set()
        assert leave.wait(10)

    holder = threading.Thread(target=lambda: run(hold, deadline=stack.deadline(60)))
    holder.start()
    try:
        assert inside.wait(10)
        yield
    finally:
        leave.set()
        holder.join(10)


def test_read_units_and_write_units(stack: Any) -> None:
    """Reads run in READ units, writes in WRITE_ONE units, and both return what the work returns."""
    stack.runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline())
    assert stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) == SONG
    assert stack.storage.scopes == [Scope.WRITE_ONE, Scope.READ]


def test_conflicts_are_retried_with_growing_pauses(stack: Any) -> None:
    """After a conflict the same work runs again, after pauses of 5, 10, 20 ms, and then succeeds."""
    stack.storage.before = [TransientConflict(), TransientConflict(), TransientConflict()]
    stack.runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline())
    assert stack.clock.slept_s == [0.005, 0.01, 0.02]


class _Noting(Unmetered):
    """Keeps what units came to."""

    def __init__(self) -> None:
        self.units: list[tuple[str, str, int]] = []

    def unit(self, scope: str, outcome: str, attempts: int, duration_s: float) -> None:
        self.units.append((scope, outcome, attempts))


def test_every_unit_is_told_with_what_it_came_to(stack: Any) -> None:
    """Success with its attempts, an error by its code, and what is no error of ours as a defect."""
    meter = _Noting()
    runner = UnitRunner(stack.storage, stack.clock, max_calls=2, jitter=lambda: 1.0, meter=meter)

    def fail(_unit: object) -> None:
        raise ZeroDivisionError

    stack.storage.before = [TransientConflict()]
    runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline())
    stack.storage.before = [StorageUnavailable()]
    with pytest.raises(StorageUnavailable):
        runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline())
    with pytest.raises(ZeroDivisionError):
        runner.read(fail, deadline=stack.deadline())

    assert meter.units == [
        ("write_one", "ok", 2),
        ("read", "storage_unavailable", 1),
        ("read", "defect", 1),
    ]


def test_conflicts_end(stack: Any) -> None:
    """A conflict that does not go away is reported after a fixed number of attempts."""
    stack.storage.before = [TransientConflict()] * (MAX_ATTEMPTS + 5)
    with pytest.raises(TransientConflict):
        stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline())
    assert len(stack.storage.scopes) == MAX_ATTEMPTS


def test_no_retry_beyond_the_deadline(stack: Any) -> None:
    """A pause that would not fit into the deadline is not begun."""
    stack.storage.before = [TransientConflict()] * 10
    with pytest.raises(TransientConflict):
        stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline(0.012))
    assert stack.clock.slept_s == [0.005]


def test_other_errors_are_not_retried(stack: Any) -> None:
    """What will not go away, or must not be repeated blindly, is raised at once."""
    stack.storage.before = [StorageUnavailable()]
    with pytest.raises(StorageUnavailable):
        stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline())
    assert len(stack.storage.scopes) == 1


def test_a_commit_without_an_answer_is_repeated(stack: Any) -> None:
    """After an unknown outcome the work runs again, and being safe to repeat it is done once."""
    stack.storage.after = [OutcomeUnknown()]
    settled: list[int] = []
    stack.runner.write(
        lambda unit: unit.songs.add(SONG), deadline=stack.deadline(), after_commit=lambda: settled.append(len(settled))
    )
    assert stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) == SONG
    assert settled == [0]


@pytest.mark.parametrize("later", [StorageUnavailable(), TransientConflict()])
def test_an_unknown_outcome_stays_unknown(stack: Any, later: Exception) -> None:
    """When the repetition fails, the caller hears of the unknown outcome, never of «nothing was changed»."""
    stack.storage.after = [OutcomeUnknown()]
    stack.storage.before = [None, *[later] * MAX_ATTEMPTS]
    settled: list[str] = []
    with pytest.raises(OutcomeUnknown):
        stack.runner.write(
            lambda unit: unit.songs.add(SONG), deadline=stack.deadline(), after_commit=lambda: settled.append("settled")
        )
    assert settled == ["settled"]


def test_a_refusal_after_an_unknown_outcome_still_settles(stack: Any) -> None:
    """A first attempt may have been kept: what follows a commit follows it, though the second attempt is refused."""
    stack.storage.before = [OutcomeUnknown()]
    settled: list[str] = []

    def refuse(_unit: object) -> None:
        raise SongNotFound

    with pytest.raises(SongNotFound):
        stack.runner.write(refuse, deadline=stack.deadline(), after_commit=lambda: settled.append("settled"))
    assert settled == ["settled"]


def test_nothing_settles_when_nothing_was_written(stack: Any) -> None:
    """An error that means that nothing was kept has no consequences."""
    stack.storage.before = [StorageUnavailable()]
    settled: list[str] = []
    with pytest.raises(StorageUnavailable):
        stack.runner.write(
            lambda unit: unit.songs.add(SONG), deadline=stack.deadline(), after_commit=lambda: settled.append("settled")
        )
    assert settled == []


def test_settling_comes_before_the_answer_and_after_the_unit(stack: Any) -> None:
    """What follows a commit may use the storage: the unit's slot is free by then."""

    def after_commit() -> None:
        assert stack.runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) == SONG

    stack.runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline(), after_commit=after_commit)
    assert stack.storage.scopes == [Scope.WRITE_ONE, Scope.READ]


def test_an_error_while_settling_reaches_the_caller(stack: Any) -> None:
    """A write that could not be made visible is not acknowledged."""

    def after_commit() -> None:
        raise OutcomeUnknown

    with pytest.raises(OutcomeUnknown):
        stack.runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline(), after_commit=after_commit)


def test_calls_are_bounded(new_runner: Callable[[int], UnitRunner], stack: Any) -> None:
    """While all slots are taken, a call waits until its deadline and is refused without being started."""
    runner = new_runner(1)
    with held(runner.read, stack), pytest.raises(Overloaded):
        runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline(0.01))
    assert runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) is None


def test_a_stall_is_waited_for(stalling: Stalling, stack: Any) -> None:
    """While no slot changes hands, calls wait until their deadlines, and are served when the stall ends."""
    with stalling(max_calls=1, max_held=4, callers=3) as outcomes:
        stack.clock.sleep(100 * STALLED_S)
        assert outcomes.refused() == 0
    assert outcomes.served(3) == 3


def test_a_stall_does_not_tie_up_every_thread(stalling: Stalling, stack: Any) -> None:
    """Of the calls that would wait, those beyond `max_held` are refused, and no others."""
    with stalling(max_calls=1, max_held=3, callers=7) as outcomes:
        stack.clock.sleep(STALLED_S)
        assert outcomes.refused() == 5
    assert outcomes.served(2) == 2


@pytest.mark.parametrize("scope", ["read", "write"])
def test_a_storage_that_hangs_is_not_waited_for(scope: str, storage: Any, stack: Any) -> None:
    """After a call whose time was used up, calls that find no slot are refused at once, until one is answered."""
    runner = UnitRunner(storage, stack.clock, max_calls=2, max_held=100)
    run = getattr(runner, scope)
    stack.storage.before = [StorageUnavailable()]
    with pytest.raises(StorageUnavailable):
        run(lambda unit: unit.songs.get("s1"), deadline=stack.deadline(OUT_OF_TIME_S))
    with held(run, stack), held(run if scope == "read" else runner.read, stack):
        stack.clock.sleep(STALLED_S)
        with pytest.raises(Overloaded):
            run(lambda unit: unit.songs.get("s1"), deadline=stack.deadline(3600))
    assert run(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) is None


def test_waiting_for_a_slot_that_comes_free(new_runner: Callable[[int], UnitRunner], stack: Any) -> None:
    """Many more calls than slots are all served while the storage works."""
    runner = new_runner(2)
    outcomes: list[object] = []
    threads = [
        threading.Thread(
            target=lambda: outcomes.append(runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()))
        )
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert outcomes == [None] * 40


def test_writers_that_hang_leave_room_for_readers(new_runner: Callable[[int], UnitRunner], stack: Any) -> None:
    """At most half of the slots are for writers: reads are served while all writers wait for a lock."""
    runner = new_runner(2)
    stack.storage.before = [StorageUnavailable()]
    with pytest.raises(StorageUnavailable):
        runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline(OUT_OF_TIME_S))
    with held(runner.write, stack):
        stack.clock.sleep(STALLED_S)
        with pytest.raises(Overloaded):
            runner.write(lambda unit: unit.songs.add(SONG), deadline=stack.deadline())
        assert runner.read(lambda unit: unit.songs.get("s1"), deadline=stack.deadline()) is None
