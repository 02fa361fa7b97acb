"""The statements that each operation runs: how many, and by which indexes."""

import itertools
import re
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import songs_sqlite.pool
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs_contract.models.samples import FILLING, READS, WRITES
from songs_sqlite import SqliteStorage
from songs_sqlite.connection import Connection
from songs_sqlite.songs import MANY

OpenStorage = Callable[..., SqliteStorage]
COSTS = tomllib.loads((Path(__file__).parents[1] / "costs.toml").read_text(encoding="utf-8"))["sqlite"]
SHORT = [name for name in READS if name.endswith("two characters")]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were run since the list was last cleared."""
    statements: list[str] = []

    class Traced(Connection):
        def __init__(self, path: Path, deadline: Deadline, clock: Clock) -> None:
            super().__init__(path, deadline, clock)
            self.raw.set_trace_callback(statements.append)

    monkeypatch.setattr(songs_sqlite.pool, "Connection", Traced)
    return statements


@pytest.fixture
def filled(traced: list[str], open_storage: OpenStorage, deadline: Callable[[float], Deadline]) -> SqliteStorage:
    """A storage with what the operations need; the trace begins after that."""
    storage = open_storage()
    with storage.unit_of_work(Scope.WRITE_MANY, deadline=deadline(5)) as unit:
        for work in FILLING:
            work(unit)
    traced.clear()
    return storage


def _own(traced: list[str]) -> list[str]:
    # What the search index runs is traced as a comment, what a trigger runs as the statement that fired it, once more.
    statements = [statement for statement in traced if not statement.startswith("--")]
    return [statement for statement, _ in itertools.groupby(statements)]


def _scans(path: Path, statements: list[str]) -> Iterator[str]:
    with sqlite3.connect(path) as connection:
        for statement in statements:
            for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                # An ordered walk through an index ends at its LIMIT; the list of levels has 101 rows at the most.
                small = statement.startswith("SELECT coalesce") or detail == "SCAN coherence" or "VIRTUAL" in detail
                first_page = "USING INDEX" in detail and statement.endswith("FROM songs ORDER BY id LIMIT 9 OFFSET 0")
                if detail.startswith("SCAN") and detail != "SCAN CONSTANT ROW" and not small and not first_page:
                    yield f"{detail}: {statement}"
    connection.close()


@pytest.mark.parametrize("name", [name for name in READS if name not in SHORT])
def test_a_read_runs_these_statements(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """A read is its statements within one transaction that syncs nothing, and looks through no table."""
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        READS[name](unit)
    begin, *statements, end = _own(traced)
    assert (begin, end) == ("BEGIN", "END")
    assert len(statements) == COSTS[name]
    assert list(_scans(path, statements)) == []


@pytest.mark.parametrize("name", WRITES)
def test_a_write_runs_these_statements(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """A write is its statements between one BEGIN IMMEDIATE and one COMMIT, and looks through no table."""
    with filled.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        WRITES[name](unit)
    begin, *statements, commit = _own(traced)
    assert (begin, commit) == ("BEGIN IMMEDIATE", "COMMIT")
    assert len(statements) == COSTS[name]
    assert list(_scans(path, statements)) == []


@pytest.mark.parametrize("name", SHORT)
def test_only_a_short_text_looks_through_the_songs(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """One or two characters have no trigram: the one case in which all songs are looked through."""
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert READS[name](unit)
    statements = _own(traced)[1:-1]
    assert len(statements) == COSTS[name]
    assert [scan[:10] for scan in _scans(path, statements)] == ["SCAN songs"]


def test_batches_leave_few_parts_of_the_search_index(
    open_storage: OpenStorage, path: Path, song: Callable[..., Song], deadline: Callable[[float], Deadline]
) -> None:
    """A search looks in each part: an import of many batches leaves no more of them than four."""
    storage = open_storage()
    for batch in range(30):
        songs = [song(f"S{n}", title=f"{n:b} {n:x}") for n in range(batch * MANY, (batch + 1) * MANY)]
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
            assert unit.songs.add_many(songs) == frozenset()
    connection = sqlite3.connect(path)
    ((parts,),) = connection.execute("SELECT count(DISTINCT segid) FROM songs_search_idx")
    connection.close()
    assert parts <= 4


def test_text_goes_through_the_index_of_trigrams(
    filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """Three characters or more are looked up in the index, whose finds are then looked up one by one."""
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert len(unit.songs.find(SongFilter(text="son"), limit=9)) == 3
    connection = sqlite3.connect(path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_own(traced)[1]}")]
    connection.close()
    assert re.match(r"SCAN songs_search VIRTUAL TABLE INDEX \d+:M", plan[0])
    assert plan[1:] == ["SEARCH songs USING INTEGER PRIMARY KEY (rowid=?)", "USE TEMP B-TREE FOR ORDER BY"]
