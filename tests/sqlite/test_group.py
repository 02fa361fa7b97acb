"""Units that share a transaction and its sync: each keeps its own promises."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.sqlite.grouping import Group, added, begin_with_answers, kinds, rated, stored

import songs_sqlite.pool
from songs.errors import (
    DeadlineExceeded,
    DuplicateSong,
    KeyReused,
    StorageClosed,
    StorageUnavailable,
)
from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_sqlite import SqliteStorage
from songs_sqlite.connection import Connection
from songs_sqlite.unit import Unit

Child = subprocess.Popen[str]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
Make = Callable[..., Song]
Rate = Callable[..., Rating]
EVENT = re.compile(r"(?:fdatasync|fsync)(?:\(\d+| resumed>)\) += 0|write\(1, ")
"""The end of a sync, or the beginning of an answer."""


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The beginnings and ends of transactions, as they are run."""
    found: list[str] = []

    class Traced(Connection):
        def __init__(self, path: Path, deadline: Deadline, clock: Clock) -> None:
            super().__init__(path, deadline, clock)
            self.raw.set_trace_callback(self.note)

        def note(self, statement: str) -> None:
            if statement.startswith(("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")):
                found.append(statement)

    monkeypatch.setattr(songs_sqlite.pool, "Connection", Traced)
    return found


def test_units_that_wait_share_a_transaction(
    statements: list[str], storage: SqliteStorage, group: Group, unit: Units, song: Make
) -> None:
    """Four units are one BEGIN and one COMMIT, and each after the first has a savepoint."""
    statements.clear()
    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        for number in range(1, 4):
            group.add(added(song(f"S{number}")))
    assert group.finish() == [None, None, None]
    assert statements == ["BEGIN IMMEDIATE", *(3 * ["SAVEPOINT unit", "RELEASE unit"]), "COMMIT"]
    assert stored(unit) == {"S0", "S1", "S2", "S3"}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the strace program on the PATH")
def test_a_group_is_acknowledged_after_its_one_sync(
    storage: SqliteStorage, unit: Units, start: Callable[..., Child], song: Make, tmp_path: Path
) -> None:
    """Seen from outside of the process: twelve units in a group are one sync, and each is answered after it."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    log = tmp_path / "log"
    child = start("grouped", "S1", 12, under=("strace", "-f", "-o", str(log), "-e", "trace=fdatasync,fsync,write"))
    out, _ = child.communicate()
    if child.returncode:
        pytest.skip("strace may not trace processes here")
    assert out.split() == ["begun", *(12 * ["kept"])]
    events = [event.partition("(")[0].partition(" ")[0] for event in EVENT.findall(log.read_text())]
    assert events[events.index("write") + 1 :] == ["fdatasync", *(12 * ["write"])]


@pytest.mark.parametrize(("bound", "value", "commits"), [("UNITS", 3, 2), ("LONGEST_S", 0.0, 6)])
def test_a_group_ends_at_its_bounds(
    bound: str,
    value: float,
    commits: int,
    statements: list[str],
    group: Group,
    unit: Units,
    song: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After so many units, or so much time, it commits though others wait: other processes get their turn."""
    monkeypatch.setattr(f"songs_sqlite.group.{bound}", value)
    statements.clear()
    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        for number in range(1, 6):
            group.add(added(song(f"S{number}")))
    assert group.finish() == 5 * [None]
    assert statements.count("COMMIT") == commits


def test_a_unit_that_fails_undoes_itself_alone(
    storage: SqliteStorage, group: Group, unit: Units, path: Path, song: Make, rating: Rate
) -> None:
    """Its own exception leaves its block, nothing of it is kept, and all of the others is; the index agrees."""
    broken = ZeroDivisionError()

    def fails(failing: UnitOfWork) -> None:
        failing.songs.add(song("gone"))
        raise broken

    def is_refused(failing: UnitOfWork) -> None:
        assert isinstance(failing, Unit)
        failing.songs.add(song("refused"))
        failing.change("INSERT INTO nowhere VALUES (1)")

    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        for work in (fails, added(song("S1")), is_refused, rated(rating("R1", "S0")), fails):
            group.add(work)
    failed, added_after, refused, count, failed_too = group.finish()
    assert failed is failed_too is broken
    assert (added_after, count) == (None, 1)
    assert isinstance(refused, StorageUnavailable)
    assert stored(unit) == {"S0", "S1"}
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO songs_search (songs_search, rank) VALUES ('integrity-check', 1)")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


class _OverOnEntering(Deadline):
    """Passes when a unit has begun to wait for its turn."""

    def remaining_s(self) -> float:
        """Return the seconds left."""
        left_s, self.at_s = super().remaining_s(), 0.0
        return left_s


def test_a_unit_whose_time_is_over_undoes_itself_alone(
    storage: SqliteStorage, group: Group, unit: Units, clock: Clock, song: Make
) -> None:
    """Its turn comes when it has no time left: it is told so, and interrupts no statement that others depend on."""
    with unit(Scope.WRITE_ONE) as first:
        assert isinstance(first, Unit)
        first.songs.add(song("S0"))
        connection = first.reading()
        connection.raw.set_progress_handler(connection._expired, 1)  # a look before each step
        group.add(added(song("S1")))
        group.add(added(song("late")), deadline=_OverOnEntering.after(clock, 60))
        group.add(added(song("S3")))
    assert kinds(group.finish()) == [type(None), DeadlineExceeded, type(None)]
    assert stored(unit) == {"S0", "S1", "S3"}


def test_answers_that_rest_on_the_group(
    storage: SqliteStorage, group: Group, unit: Units, song: Make, rating: Rate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate, a reused key, a repeat and statistics of what is not synced yet are answered after the sync."""
    answered: list[int] = []
    change = Connection.change

    def noting(connection: Connection, sql: str, parameters: tuple[object, ...] = ()) -> int:
        if sql == "COMMIT":
            answered.append(len(group.results))
        return change(connection, sql, parameters)

    monkeypatch.setattr(Connection, "change", noting)
    with unit(Scope.WRITE_ONE) as first:
        begin_with_answers(group, first, song, rating)
    count, duplicate, reused, stats, repeated = group.finish()
    assert answered == [0]
    assert (count, repeated, stats) == (1, 1, RatingStats((0, 0, 1, 0, 0)))
    assert kinds([duplicate, reused]) == [DuplicateSong, KeyReused]


def test_a_unit_of_many_writes_is_alone(
    statements: list[str], storage: SqliteStorage, group: Group, unit: Units, song: Make
) -> None:
    """It begins after the group before it was committed, and its failure undoes nothing of others."""

    def fails(many: UnitOfWork) -> None:
        many.songs.add(song("M1"))
        many.songs.add(song("M2"))
        raise ZeroDivisionError

    statements.clear()
    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        group.add(added(song("S1")))
        group.add(fails, Scope.WRITE_MANY)
        group.add(added(song("S3")))
    assert kinds(group.finish()) == [type(None), ZeroDivisionError, type(None)]
    own = ["BEGIN IMMEDIATE", "ROLLBACK"]
    assert statements == [
        "BEGIN IMMEDIATE",
        "SAVEPOINT unit",
        "RELEASE unit",
        "COMMIT",
        *own,
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert stored(unit) == {"S0", "S1", "S3"}


def test_readers_see_nothing_of_an_open_group(storage: SqliteStorage, group: Group, unit: Units, song: Make) -> None:
    """What a member wrote is seen when it is synced, and not while the group is open."""
    found: list[set[str]] = []
    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        group.add(lambda _: found.append(stored(unit)))
    group.finish()
    assert found == [set()]
    assert stored(unit) == {"S0"}


def test_closing_within_a_group(storage: SqliteStorage, group: Group, unit: Units, song: Make) -> None:
    """Units that had begun are kept and acknowledged, those that still wait are refused, and all is let go."""

    def closes(last: UnitOfWork) -> None:
        last.songs.add(song("S1"))
        storage.close()

    with unit(Scope.WRITE_ONE) as first:
        first.songs.add(song("S0"))
        group.add(closes)
        group.add(added(song("S2")))
    assert kinds(group.finish()) == [type(None), StorageClosed]
    assert not storage._pool
    storage.open()
    assert stored(unit) == {"S0", "S1"}


def test_a_child_that_is_forked_within_a_group(
    storage: SqliteStorage, unit: Units, start: Callable[..., Child], song: Make
) -> None:
    """It may not touch the storage, and the parent's group is kept."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    out, _ = start("fork_within_group", "S1").communicate()
    assert out.split()[-2:] == ["7", "4"]
