"""The statements that each operation runs: how many, and by which indexes."""

import itertools
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import songs_sqlite.pool
from songs.deadline import Deadline
from songs.model import Rating, Session, Song, SongIdentity, User
from songs.ports.clock import Clock
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_sqlite import SqliteStorage
from songs_sqlite.connection import Connection

OpenStorage = Callable[..., SqliteStorage]
Work = Callable[[UnitOfWork], object]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
SONGS = [
    Song(id=f"S{n}", artist="Queen", title=f"Song {n}", difficulty_milli=n, level=n, released=NOW.date())
    for n in range(3)
]
OTHER = Song.of("S1", SONGS[2].details, version=2)
MOVED = Song(id="S1", artist="X", title="Y", difficulty_milli=1, level=9, released=NOW.date(), version=2)
USER = User(id="U1", name="someone", password_hash="x", created_at=NOW)
RENEWED = User(id="U1", name="someone", password_hash="y", created_at=NOW, version=2)
SESSION = Session(id="T1", user_id="U1", current_hash="a", created_at=NOW, rotated_at=NOW, expires_at=LATER)
RATING = Rating(id="R2", song_id="S1", user_id="U1", value=3, rated_at=NOW)
KEYED = Rating(id="R3", song_id="S1", user_id="U1", value=3, rated_at=NOW, key="k")
KEYED_AGAIN = Rating(id="R4", song_id="S1", user_id="U1", value=3, rated_at=NOW, key="k")


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
    """A storage with three songs, a user, a session and a keyed rating; the trace begins after them."""
    storage = open_storage()
    with storage.unit_of_work(Scope.WRITE_MANY, deadline=deadline(5)) as unit:
        unit.songs.add_many(SONGS)
        unit.users.add(USER)
        unit.sessions.add(SESSION)
        unit.ratings.add(KEYED)
    traced.clear()
    return storage


def _rotate(presented: str) -> Work:
    return lambda unit: unit.sessions.rotate("T1", presented_hash=presented, next_hash="b", at=NOW, grace_s=1)


READS: dict[str, tuple[Work, int]] = {
    "songs.get": (lambda unit: unit.songs.get("S1"), 1),
    "songs.identify": (lambda unit: unit.songs.identify([SONGS[0].identity, SongIdentity("A", "B", NOW.date())]), 2),
    "songs.find": (lambda unit: unit.songs.find(SongFilter(), limit=9, after_id="S0", offset=1), 1),
    "songs.find level": (lambda unit: unit.songs.find(SongFilter(level=1), limit=9, after_id="S0"), 1),
    "songs.find artist": (lambda unit: unit.songs.find(SongFilter(artist="queen"), limit=9, after_id="S0"), 1),
    "songs.find artist level": (lambda unit: unit.songs.find(SongFilter(artist="queen", level=1), limit=9), 1),
    "songs.find artist text": (lambda unit: unit.songs.find(SongFilter(artist="queen", text="song"), limit=9), 1),
    "songs.find text": (lambda unit: unit.songs.find(SongFilter(text="song"), limit=9, after_id="S0"), 1),
    "songs.find text level": (lambda unit: unit.songs.find(SongFilter(text="song", level=1), limit=9), 1),
    "songs.find short level": (lambda unit: unit.songs.find(SongFilter(text="s", level=1), limit=9), 1),
    "songs.count": (lambda unit: unit.songs.count(SongFilter()), 1),
    "songs.count level": (lambda unit: unit.songs.count(SongFilter(level=1)), 1),
    "songs.count artist": (lambda unit: unit.songs.count(SongFilter(artist="queen")), 1),
    "songs.count text": (lambda unit: unit.songs.count(SongFilter(text="song")), 1),
    "songs.count text level": (lambda unit: unit.songs.count(SongFilter(text="song", level=1)), 1),
    "songs.difficulty_totals": (lambda unit: unit.songs.difficulty_totals(), 1),
    "songs.difficulty_totals level": (lambda unit: unit.songs.difficulty_totals(1), 1),
    "ratings.stats": (lambda unit: unit.ratings.stats("S1"), 1),
    "ratings.of_song": (lambda unit: unit.ratings.of_song("S1", limit=9, after_id="R1"), 1),
    "users.get": (lambda unit: unit.users.get("U1"), 1),
    "users.by_name": (lambda unit: unit.users.by_name("Someone"), 1),
    "users.find": (lambda unit: unit.users.find(limit=9, after_id="U0"), 1),
    "sessions.get": (lambda unit: unit.sessions.get("T1"), 1),
    "coherence.read": (lambda unit: unit.coherence.read(), 1),
}
WRITES: dict[str, tuple[Work, int]] = {
    "songs.add": (lambda unit: unit.songs.add(MOVED.of("S9", MOVED.details)), 1),
    "songs.add again": (lambda unit: unit.songs.add(SONGS[1]), 2),
    "songs.add_many": (lambda unit: unit.songs.add_many([MOVED.of("S9", MOVED.details), SONGS[1]]), 4),
    "songs.replace": (lambda unit: unit.songs.replace(MOVED, if_version=1), 3),
    "songs.delete": (lambda unit: unit.songs.delete("S1", if_version=1), 4),
    "ratings.add": (lambda unit: unit.ratings.add(RATING), 2),
    "ratings.add again": (lambda unit: unit.ratings.add(KEYED), 3),
    "ratings.add replayed": (lambda unit: unit.ratings.add(KEYED_AGAIN), 4),
    "users.add": (lambda unit: unit.users.add(User(id="U2", name="other", password_hash="x", created_at=NOW)), 1),
    "users.replace": (lambda unit: unit.users.replace(RENEWED, if_version=1), 2),
    "users.delete": (lambda unit: unit.users.delete("U1"), 2),
    "sessions.add": (lambda unit: unit.sessions.add(SESSION), 1),
    "sessions.rotate": (_rotate("a"), 2),
    "sessions.rotate reused": (_rotate("z"), 2),
    "sessions.delete": (lambda unit: unit.sessions.delete("T1"), 1),
    "sessions.delete_of_user": (lambda unit: unit.sessions.delete_of_user("U1", keep_id="T2"), 1),
    "sessions.delete_expired": (lambda unit: unit.sessions.delete_expired(at=LATER, limit=9), 1),
    "coherence.advance": (lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False), 2),
}
SCANS = {
    "songs.find short": lambda unit: unit.songs.find(SongFilter(text="so"), limit=9),
    "songs.count short": lambda unit: unit.songs.count(SongFilter(text="so")),
}


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
                if detail.startswith("SCAN") and detail != "SCAN CONSTANT ROW" and not small:
                    yield f"{detail}: {statement}"
    connection.close()


@pytest.mark.parametrize("name", READS)
def test_a_read_runs_these_statements(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """A read is its statements within one transaction that syncs nothing, and looks through no table."""
    work, count = READS[name]
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        work(unit)
    begin, snapshot, *statements, end = _own(traced)
    assert (begin, snapshot, end) == ("BEGIN", "SELECT 1 FROM sqlite_schema LIMIT 1", "END")
    assert len(statements) == count
    assert list(_scans(path, statements)) == []


@pytest.mark.parametrize("name", WRITES)
def test_a_write_runs_these_statements(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """A write is its statements between one BEGIN IMMEDIATE and one COMMIT, and looks through no table."""
    work, count = WRITES[name]
    with filled.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        work(unit)
    begin, *statements, commit = _own(traced)
    assert (begin, commit) == ("BEGIN IMMEDIATE", "COMMIT")
    assert len(statements) == count
    assert list(_scans(path, statements)) == []


@pytest.mark.parametrize("name", SCANS)
def test_only_a_short_text_looks_through_the_songs(
    name: str, filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """One or two characters have no trigram: the one case in which all songs are looked through."""
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert SCANS[name](unit)
    assert [scan[:10] for scan in _scans(path, _own(traced)[2:-1])] == ["SCAN songs"]


def test_text_goes_through_the_index_of_trigrams(
    filled: SqliteStorage, traced: list[str], path: Path, deadline: Callable[[float], Deadline]
) -> None:
    """Three characters or more are looked up in the index, whose finds are then looked up one by one."""
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert len(unit.songs.find(SongFilter(text="son"), limit=9)) == 3
    connection = sqlite3.connect(path)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {_own(traced)[2]}")]
    connection.close()
    assert re.match(r"SCAN songs_search VIRTUAL TABLE INDEX \d+:M", plan[0])
    assert plan[1:] == ["SEARCH songs USING INTEGER PRIMARY KEY (rowid=?)", "USE TEMP B-TREE FOR ORDER BY"]
