"""Ratings that deleted songs leave behind: how many one write removes, who goes on, and that nobody sees them."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Clock
from songs.ports.storage import Scope, UnitOfWork
from songs_sqlite import SqliteStorage
from songs_sqlite.pool import ORPHANS_AT_ONCE

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
Make = Callable[..., Song]
Rate = Callable[..., Rating]
RATINGS = 8 * ORPHANS_AT_ONCE
SERIES = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?) "


@pytest.fixture
def rated(storage: SqliteStorage, unit: Units, song: Make, path: Path) -> SqliteStorage:
    """A storage with two songs, of which one has many ratings, all with keys of one user."""
    with unit(Scope.WRITE_ONE) as write:
        write.songs.add_many([song("S1"), song("S2")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"{SERIES} INSERT INTO ratings SELECT 'S1', 'R' || x, 'U1', 1, 0, 'k' || x FROM n",  # noqa: S608 - a constant
            (RATINGS,),
        )
        connection.execute("UPDATE stats SET n1 = ? WHERE song_id = 'S1'", (RATINGS,))
    return storage


def _left(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM ratings WHERE song_id LIKE 'S1%'").fetchone()[0])


def _delete(unit: Units) -> None:
    with unit(Scope.WRITE_ONE) as write:
        assert write.songs.delete("S1")


def test_a_deletion_removes_a_bounded_number(rated: SqliteStorage, unit: Units, path: Path) -> None:
    """However many ratings a song has, its deletion removes two batches at the most."""
    _delete(unit)
    assert RATINGS - 2 * ORPHANS_AT_ONCE <= _left(path) < RATINGS


def test_writes_go_on_with_it(rated: SqliteStorage, unit: Units, path: Path, rating: Rate) -> None:
    """Each write removes a batch, until nothing is left; then writes are what they were."""
    _delete(unit)
    for number in range(RATINGS // ORPHANS_AT_ONCE + 1):
        before = _left(path)
        with unit(Scope.WRITE_ONE) as write:
            write.ratings.add(rating(f"T{number}", "S2"))
        assert before - _left(path) <= ORPHANS_AT_ONCE
    assert _left(path) == 0
    assert not rated._opened().has_orphans


@pytest.mark.parametrize("how", ["prepare", "open_existing", "examine"])
def test_others_go_on_with_it(
    rated: SqliteStorage, unit: Units, path: Path, clock: Clock, how: str, song: Make
) -> None:
    """Where a process died in between, `prepare` removes the rest, workers know of it, and so does a repair."""
    _delete(unit)
    rated.close()
    other = SqliteStorage(path, clock, connections=2)
    if how == "open_existing":
        other.open_existing()
        assert other._opened().has_orphans
        other.close()
        return
    other.open()
    if how == "prepare":
        other.prepare()
    else:
        assert list(other.examine()) == []
        assert list(other.examine(repair=True)) == []
    assert _left(path) == 0
    other.close()


def test_nobody_sees_them(rated: SqliteStorage, unit: Units, rating: Rate, song: Make, path: Path) -> None:
    """Neither under the id of another song, nor by a key, nor when that song is deleted in its turn."""
    _delete(unit)
    for number in range(3):
        with unit(Scope.WRITE_ONE) as write:
            write.songs.add(song("S1"))
        with unit(Scope.READ) as read:
            assert read.ratings.stats("S1") == RatingStats()
            assert read.ratings.of_song("S1", limit=9) == ()
        key = f"k{RATINGS - number}"
        with unit(Scope.WRITE_ONE) as write:
            receipt = write.ratings.add(rating(f"T{number}", "S1", 5, key=key))
        assert (receipt.rating_id, receipt.stats.count) == (f"T{number}", 1)
        with unit(Scope.WRITE_ONE) as write:
            assert write.ratings.add(rating("again", "S1", 5, key=key)).rating_id == f"T{number}"
        assert list(rated.examine()) == []
        _delete(unit)


def test_lost_statistics_of_a_later_song_are_counted_anew(
    rated: SqliteStorage, unit: Units, rating: Rate, song: Make, path: Path
) -> None:
    """A repair finds the ratings of a song whose statistics are gone, though another song of its id has left some."""
    _delete(unit)
    with unit(Scope.WRITE_ONE) as write:
        write.songs.add(song("S1"))
    with unit(Scope.WRITE_ONE) as write:
        write.ratings.add(rating("T", "S1", 5))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM stats")
    assert all(finding.mended for finding in rated.examine(repair=True))
    with unit(Scope.READ) as read:
        assert read.ratings.of_song("S1", limit=9) == (rating("T", "S1", 5),)
        assert read.ratings.stats("S1") == RatingStats((0, 0, 0, 0, 1))
