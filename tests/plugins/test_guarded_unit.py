"""The checks of a unit of work that are the same in every storage."""

import os
import threading
from collections.abc import Callable

import pytest

from songs.errors import (
    DeadlineExceeded,
    DuplicateSong,
    OutcomeUnknown,
    ScopeViolation,
    SongsError,
    StorageClosed,
    StorageUnavailable,
    TransientConflict,
)
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_plugins.guarded_unit import GuardedUnit

LATER_S = 10.0


class Clock:
    """A clock that is moved, and counts how often it was asked."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.asked = 0

    def monotonic_s(self) -> float:
        """Return the seconds that it was moved by."""
        self.asked += 1
        return self.at_s

    def now(self) -> object:
        """Not asked."""
        raise NotImplementedError

    def sleep(self, duration_s: float) -> None:
        """Not asked."""
        raise NotImplementedError


class Unit(GuardedUnit[str]):
    """A unit that notes how it began and ended."""

    def __init__(self, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self.calls: list[str] = []
        self.beginning: Callable[[], str] = lambda: "held"
        self.ending: Callable[[], None] = lambda: None

    def _begin(self) -> str:
        self.calls.append(f"begin {self.left_s}")
        return self.beginning()

    def _end(self, held: str, *, commit: bool) -> None:
        self.calls.append(f"{'commit' if commit else 'rollback'} {held}")
        self.ending()


@pytest.fixture
def clock() -> Clock:
    """The clock of `unit`."""
    return Clock()


@pytest.fixture
def unit(clock: Clock) -> Unit:
    """A unit that may read and write, for ten seconds."""
    return Unit(Scope.WRITE_MANY, _deadline(clock))


def _deadline(clock: Clock) -> Deadline:
    return Deadline(clock, LATER_S)  # type: ignore[arg-type] # the time of day is not asked


def _error(call: Callable[[], object]) -> Exception | None:
    """Return what a call in another thread raises."""
    found: list[Exception] = []

    def run() -> None:
        try:
            call()
        except SongsError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0] if found else None


def test_a_block_that_ends_cleanly_commits(unit: Unit) -> None:
    """The subclass begins with the time that is left, and commits what it holds by then."""
    with unit as entered:
        assert entered is unit
        assert unit.reading() == "held"
        unit.hold("held instead")
        assert unit.writing() == "held instead"

    assert unit.calls == ["begin 10.0", "commit held instead"]


@pytest.mark.parametrize("error", [KeyError("mine"), KeyboardInterrupt()])
def test_an_exception_rolls_back(unit: Unit, error: BaseException) -> None:
    """It leaves the block as it is."""
    with pytest.raises(type(error)) as caught, unit:
        raise error

    assert caught.value is error
    assert unit.calls == ["begin 10.0", "rollback held"]


def test_it_is_used_within_its_block(unit: Unit) -> None:
    """Before it and after it, reads and writes are refused."""
    calls = (unit.reading, unit.writing)
    for call in calls:
        with pytest.raises(ScopeViolation, match="within its with block"):
            call()
    with unit:
        unit.reading()
    for call in calls:
        with pytest.raises(ScopeViolation, match="within its with block"):
            call()


def test_it_is_entered_once(unit: Unit) -> None:
    """Not within its block, and not after it; and it is left once."""
    with unit, pytest.raises(ScopeViolation, match="entered once"):
        unit.__enter__()
    with pytest.raises(ScopeViolation, match="entered once"):
        unit.__enter__()
    with pytest.raises(ScopeViolation, match="left once"):
        unit.__exit__(None, None, None)

    assert unit.calls == ["begin 10.0", "commit held"]


def test_a_beginning_that_failed_ends_it(unit: Unit) -> None:
    """Its error leaves the with statement, and nothing is ended that had not begun."""
    error = StorageUnavailable("no connection")

    def fails() -> str:
        unit.hold("too early")
        raise error

    unit.beginning = fails
    with pytest.raises(StorageUnavailable) as caught, unit:
        pytest.fail("entered")
    with pytest.raises(ScopeViolation, match="within its with block"):
        unit.reading()

    assert caught.value is error
    assert unit.calls == ["begin 10.0"]


def test_it_belongs_to_its_thread(unit: Unit) -> None:
    """Another thread is refused, and does it no harm."""
    with unit:
        assert "belongs to the thread" in str(_error(unit.reading))
        assert "belongs to the thread" in str(_error(unit.writing))
        assert unit.writing() == "held"


def test_a_reader_does_not_write(clock: Clock) -> None:
    """A READ unit refuses every write, and goes on."""
    with Unit(Scope.READ, _deadline(clock)) as unit:
        with pytest.raises(ScopeViolation, match="A READ unit of work"):
            unit.writing()
        assert unit.reading() == "held"


def test_one_write_is_one(clock: Clock) -> None:
    """A WRITE_ONE unit refuses the second one, and goes on; WRITE_MANY takes any number."""
    with Unit(Scope.WRITE_ONE, _deadline(clock)) as one, Unit(Scope.WRITE_MANY, _deadline(clock)) as many:
        one.writing()
        with pytest.raises(ScopeViolation, match="second write"):
            one.writing()
        assert one.reading() == "held"
        assert [many.writing() for _ in range(3)] == ["held"] * 3


def test_it_is_not_entered_after_its_deadline(unit: Unit, clock: Clock) -> None:
    """Nothing is begun."""
    clock.at_s = LATER_S
    with pytest.raises(DeadlineExceeded), unit:
        pytest.fail("entered")

    assert unit.calls == []


@pytest.mark.parametrize("at_s", [LATER_S, LATER_S + 1])
def test_it_ends_with_its_deadline(unit: Unit, clock: Clock, at_s: float) -> None:
    """Each statement is preceded by a look at the clock; past the deadline nothing is done and nothing committed."""

    def swallow() -> None:
        with unit:
            clock.at_s = LATER_S - 0.5
            unit.writing()
            assert unit.left_s == pytest.approx(0.5)
            clock.at_s = at_s
            with pytest.raises(DeadlineExceeded):
                unit.reading()

    with pytest.raises(DeadlineExceeded):
        swallow()

    assert unit.calls == ["begin 10.0", "rollback held"]


def test_the_clock_is_asked_once_a_check(unit: Unit, clock: Clock) -> None:
    """On entering, before a read, and before a write; not on leaving."""
    with unit:
        unit.reading()
        unit.writing()

    assert clock.asked == 3


def test_after_an_error_nothing_is_committed(unit: Unit) -> None:
    """Every call raises it again, and so does an end of the block that would commit otherwise."""
    error = TransientConflict()

    def swallow() -> None:
        with unit:
            assert unit.failed(error) is error
            for call in (unit.reading, unit.writing):
                with pytest.raises(TransientConflict) as raised:
                    call()
                assert raised.value is error

    with pytest.raises(TransientConflict) as caught:
        swallow()

    assert caught.value is error
    assert unit.calls == ["begin 10.0", "rollback held"]


def test_another_exception_is_not_replaced_by_it(unit: Unit) -> None:
    """The exception that leaves the block is the one that was raised last."""
    with pytest.raises(KeyError), unit:  # noqa: PT012 - the block is what is tested
        unit.failed(TransientConflict())
        raise KeyError


@pytest.mark.parametrize("error", [ZeroDivisionError(), GeneratorExit(), KeyboardInterrupt()])
def test_an_end_that_fails_keeps_the_exception_of_the_caller(unit: Unit, error: BaseException) -> None:
    """What the block raised leaves it, also where rolling back raises; only an error of ours may give way."""

    def failing() -> None:
        raise StorageUnavailable

    unit.ending = failing
    with pytest.raises(type(error)) as raised, unit:
        raise error
    assert raised.value is error

    other = Unit(Scope.WRITE_MANY, unit._deadline)
    other.ending = failing
    with pytest.raises(StorageUnavailable), other:
        raise DuplicateSong


def test_an_end_that_fails_ends_it(unit: Unit) -> None:
    """Its error leaves the with statement; until then statements may be run, and none after it."""

    def fails() -> None:
        unit.reading()
        raise OutcomeUnknown

    unit.ending = fails
    with pytest.raises(OutcomeUnknown), unit:
        pass
    with pytest.raises(ScopeViolation):
        unit.reading()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.parametrize("clean", [True, False])
def test_a_process_forked_inside_of_it_may_not_use_it(unit: Unit, *, clean: bool) -> None:
    """It is refused, and ends nothing; the process that entered the unit goes on."""
    with unit:
        pid = os.fork()
        if pid == 0:
            os._exit(_used_in_a_child(unit, clean=clean))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert unit.writing() == "held"

    assert unit.calls == ["begin 10.0", "commit held"]


def _used_in_a_child(unit: Unit, *, clean: bool) -> int:
    """Return 0 where nothing went through."""
    refused = 0
    for call in (unit.reading, unit.writing):
        try:
            call()
        except StorageClosed:
            refused += 1
    try:
        unit.__exit__(*((None, None, None) if clean else (KeyError, KeyError(), None)))
    except StorageClosed:
        refused += clean
    else:
        refused += not clean
    try:
        unit.reading()
    except ScopeViolation:
        refused += 1
    return 0 if refused == 4 and unit.calls == ["begin 10.0"] else 1
