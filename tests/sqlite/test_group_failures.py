"""Groups of units that fail as a whole: nobody is acknowledged, and nobody answers by what was not kept."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.clock import ManualClock
from tests.sqlite.grouping import Group, added, begin_with_answers, kinds, rated, stored

import songs_sqlite.group
from songs.errors import (
    DeadlineExceeded,
    DuplicateSong,
    OutcomeUnknown,
    StorageUnavailable,
    TransientConflict,
)
from songs.model import Rating, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.harness.timing import eventually
from songs_plugins import FailingCalls
from songs_sqlite import SqliteStorage, testing
from songs_sqlite.connection import Connection
from songs_sqlite.storage import SqliteSettings
from songs_sqlite.unit import Unit

At = Callable[[float], Deadline]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
Make = Callable[..., Song]
Rate = Callable[..., Rating]
_NUMBERS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, x FROM c"
ENDLESS = f"INSERT INTO meta {_NUMBERS}"


@pytest.fixture
def faults() -> Iterator[FailingCalls]:
    """Lets statements of all connections fail."""
    with testing.faults(SqliteSettings()) as found:
        yield found


@contextmanager
def failing_commits(monkeypatch: pytest.MonkeyPatch, code: int) -> Iterator[None]:
    """Let each COMMIT raise this code, and do nothing."""
    change = Connection.change

    def failing(connection: Connection, sql: str, parameters: tuple[object, ...] = ()) -> int:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("planted")
            error.sqlite_errorcode = code
            raise error
        return change(connection, sql, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "change", failing)
        yield


@pytest.mark.parametrize(
    ("code", "of_writes", "of_answers"),
    [
        (sqlite3.SQLITE_FULL, StorageUnavailable, StorageUnavailable),
        (sqlite3.SQLITE_BUSY, StorageUnavailable, StorageUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown, StorageUnavailable),
    ],
)
def test_a_commit_that_fails_is_the_answer_to_all(
    code: int,
    of_writes: type,
    of_answers: type,
    group: Group,
    unit: Units,
    song: Make,
    rating: Rate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No unit is acknowledged, and none answers by what was never kept; then the storage goes on."""
    with (
        failing_commits(monkeypatch, code),
        pytest.raises(of_writes) as raised,
        unit(Scope.WRITE_ONE) as first,
    ):
        begin_with_answers(group, first, song, rating)
    with failing_commits(monkeypatch, code):
        results = group.finish()
    assert isinstance(raised.value.__cause__, sqlite3.Error)
    assert kinds(results) == [of_writes, of_answers, of_answers, of_answers, of_writes]
    assert stored(unit) == set()
    with unit(Scope.WRITE_ONE) as after:
        after.songs.add(song("S0"))


@pytest.mark.parametrize("error", [ZeroDivisionError(), GeneratorExit(), KeyboardInterrupt()])
def test_the_exception_of_a_caller_leaves_a_group_that_failed(
    error: BaseException, group: Group, unit: Units, song: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rests on nothing that the storage said: it leaves its block, whatever became of the group."""

    def fails(failing: UnitOfWork) -> None:
        failing.songs.add(song("gone"))
        raise error

    with failing_commits(monkeypatch, sqlite3.SQLITE_FULL):
        with pytest.raises(StorageUnavailable), unit(Scope.WRITE_ONE) as first:  # noqa: PT012 - the end raises
            first.songs.add(song("S0"))
            group.add(fails)
            group.add(added(song("S2")))
        results = group.finish()
    assert results[0] is error
    assert kinds(results[1:]) == [StorageUnavailable]


def test_a_statement_that_has_sqlite_undo_all(
    storage: SqliteStorage, group: Group, unit: Units, song: Make, rating: Rate
) -> None:
    """Where SQLite rolls the transaction back, nobody is acknowledged, and who waits next begins another one."""
    clock = ManualClock()

    def runs_on(late: UnitOfWork) -> None:
        assert isinstance(late, Unit)
        late.songs.add(song("late"))
        late.reading().raw.set_trace_callback(lambda _statement: clock.advance(60))
        late.change(ENDLESS)

    with pytest.raises(TransientConflict), unit(Scope.WRITE_ONE) as first:  # noqa: PT012 - the end of the block raises
        first.songs.add(song("S0"))
        group.add(added(song("S1")))
        group.add(rated(rating("R", "none")))
        group.add(runs_on, deadline=Deadline.after(clock, 30))
        group.add(added(song("S4")))
    assert kinds(group.finish()) == [TransientConflict, TransientConflict, DeadlineExceeded, type(None)]
    assert stored(unit) == {"S4"}


@pytest.mark.parametrize("sql", ["SAVEPOINT unit", "RELEASE unit"])
def test_a_statement_of_the_group_that_is_interrupted(
    sql: str, group: Group, unit: Units, song: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a savepoint of one unit is, that is a conflict to the others, with its cause, and the next one begins."""
    change = Connection.change
    failing = [sql]

    def interrupted(connection: Connection, statement: str, parameters: tuple[object, ...] = ()) -> int:
        if statement in failing:
            failing.remove(statement)
            error = sqlite3.OperationalError("planted")
            error.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
            raise error
        return change(connection, statement, parameters)

    monkeypatch.setattr(Connection, "change", interrupted)
    with pytest.raises(TransientConflict) as raised, unit(Scope.WRITE_ONE) as first:  # noqa: PT012 - the end raises
        first.songs.add(song("S0"))
        group.add(added(song("S1")))
        group.add(added(song("S2")))
    assert isinstance(raised.value.__cause__, sqlite3.Error)
    own = DeadlineExceeded if sql == "SAVEPOINT unit" else TransientConflict
    assert kinds(group.finish()) == [own, type(None)]
    assert stored(unit) == {"S2"}


@pytest.fixture
def out_of_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[threading.Event], Deadline]:
    """Makes a deadline that passes when this has happened, before which no member waits for its group."""

    def make(happened: threading.Event) -> Deadline:
        clock, wait = ManualClock(), songs_sqlite.group.Group.wait

        def wait_late(*arguments: Any, **options: Any) -> None:
            assert happened.wait(30)
            clock.advance(60)
            wait(*arguments, **options)

        monkeypatch.setattr(songs_sqlite.group.Group, "wait", wait_late)
        return Deadline.after(clock, 30)

    return make


def test_a_unit_that_stalls_does_not_hold_the_others(
    storage: SqliteStorage, group: Group, unit: Units, song: Make, out_of_time: Callable[[threading.Event], Deadline]
) -> None:
    """Those that wait for its group end in time and keep nothing, itself included; then all goes on."""
    stalled, resumed = threading.Event(), threading.Event()

    def stalls(slow: UnitOfWork) -> None:
        slow.songs.add(song("slow"))
        stalled.set()
        assert resumed.wait(30)

    with (  # noqa: PT012 - the end of the block is what raises
        pytest.raises(StorageUnavailable, match="nothing was changed"),
        storage.unit_of_work(Scope.WRITE_ONE, deadline=out_of_time(stalled)) as first,
    ):
        first.songs.add(song("S0"))
        group.add(added(song("S1")))
        group.add(stalls)
    eventually(lambda: 0 in group.results, within_s=30)
    assert 1 not in group.results
    resumed.set()
    assert kinds(group.finish()) == [TransientConflict, TransientConflict]
    assert stored(unit) == set()
    with unit(Scope.WRITE_ONE) as after:
        after.songs.add(song("S2"))


def test_a_commit_that_has_begun_is_waited_for(
    storage: SqliteStorage,
    group: Group,
    unit: Units,
    song: Make,
    out_of_time: Callable[[threading.Event], Deadline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sync that takes long is not withdrawn, as one of a unit alone is not: what it kept is acknowledged."""
    change, withdraw = Connection.change, songs_sqlite.group.Group._withdraw
    begun, tried = threading.Event(), threading.Event()

    def slow(connection: Connection, sql: str, parameters: tuple[object, ...] = ()) -> int:
        if sql == "COMMIT":
            begun.set()
            assert tried.wait(30)
        return change(connection, sql, parameters)

    def noting(waited_for: songs_sqlite.group.Group) -> bool:
        withdrawn = withdraw(waited_for)
        tried.set()
        return withdrawn

    monkeypatch.setattr(Connection, "change", slow)
    monkeypatch.setattr(songs_sqlite.group.Group, "_withdraw", noting)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=out_of_time(begun)) as first:
        first.songs.add(song("S0"))
        group.add(added(song("S1")))
    assert group.finish() == [None]
    assert stored(unit) == {"S0", "S1"}


def test_a_file_that_is_removed_within_a_group(
    storage: SqliteStorage, group: Group, unit: Units, song: Make, path: Path
) -> None:
    """Nothing that went to a file that nobody finds again is acknowledged."""
    with pytest.raises(OutcomeUnknown), unit(Scope.WRITE_ONE) as first:  # noqa: PT012 - the end raises
        first.songs.add(song("S0", title="same"))
        group.add(lambda _: path.unlink())
        group.add(added(song("S2")))
        group.add(added(song("S3", title="same")))
    assert kinds(group.finish()) == [StorageUnavailable, OutcomeUnknown, StorageUnavailable]


def test_any_statement_of_a_group_may_fail(
    storage: SqliteStorage, deadline: At, unit: Units, song: Make, faults: FailingCalls
) -> None:
    """Whichever fails: what was acknowledged is there, and what raised is not, unless its outcome is unknown."""
    for number in range(1, 40):
        for when in ("before", "after"):
            name = f"{when}-{number}-"
            group = Group(storage, deadline(30))
            results: dict[str, object] = {f"{name}0": None}
            try:
                with unit(Scope.WRITE_ONE) as first:
                    faults.fail_at(number, when=when)
                    first.songs.add(song(f"{name}0"))
                    for place in range(1, 5):
                        group.add(added(song(f"{name}{place}", title="same" if place % 2 else None)))
            except (StorageUnavailable, OutcomeUnknown) as error:
                results[f"{name}0"] = error
            results |= {f"{name}{place}": result for place, result in enumerate(group.finish(), start=1)}
            fired = faults.failed
            faults.heal()
            found = stored(unit)
            for song_id, result in results.items():
                assert result is None or isinstance(result, StorageUnavailable | OutcomeUnknown | DuplicateSong)
                assert (song_id in found) == (result is None) or isinstance(result, OutcomeUnknown)
            with unit(Scope.WRITE_MANY) as clearing:
                for song_id in found:
                    clearing.songs.delete(song_id)
            if not fired:
                return
    pytest.fail("the faults never ended")
