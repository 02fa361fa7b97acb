"""What an examination of a file finds, what it leaves to others, and what it does beside writers in other processes."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from songs.model import RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.text import FOLD_VERSION, fold
from songs_contract.models.samples import rating
from songs_sqlite import SqliteStorage
from songs_sqlite.migrations import NEWEST
from songs_sqlite.testing import STATEMENTS

PROGRAM = Path(__file__).with_name("program.py")
PROCESSES = 2
THREADS = 4
EACH = 60

OpenStorage = Callable[..., SqliteStorage]
At = Callable[[float], Deadline]


def _damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def filled(storage: SqliteStorage, song: Callable[..., Song], deadline: At) -> SqliteStorage:
    """A storage with three songs."""
    songs = [song("song-1", artist="Beyoncé"), song("song-2", artist="Queen"), song("song-3", title="君が代")]
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add_many(songs)
    return storage


def test_the_versions(storage: SqliteStorage) -> None:
    """Of the schema, of the folds, and of the library."""
    assert storage.versions() == {"schema": str(NEWEST), "folds": FOLD_VERSION, "SQLite": sqlite3.sqlite_version}


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (("DELETE FROM stats",), "the statistics of the song song-1 are missing, where its ratings make 0/0/0/0/0"),
        (("DROP INDEX ratings_by_key",), "the index ratings_by_key is missing"),
        (STATEMENTS["a trigger does nothing"], "the trigger song_renamed is defined otherwise"),
        (STATEMENTS["the search index lacks a song"], "the search index lacks 1 songs, the song song-1 first"),
        (STATEMENTS["ratings of no song"], "1 ratings of songs that are gone"),
        (STATEMENTS["an index lacks rows"], "the file: wrong # of entries in index songs_by_level"),
        (STATEMENTS["folds"], f"3 songs are not folded as version {FOLD_VERSION} folds them, and the data say that"),
        (STATEMENTS["totals are gone"], "the totals of level 3 are 0 songs and 0 thousandths of difficulty, where"),
    ],
)
def test_what_is_wrong_is_told_and_mended(
    filled: SqliteStorage, path: Path, statements: tuple[str, ...], told: str
) -> None:
    """In words, with what would be done about it; and it is wrong no more when that was done."""
    _damage(path, *statements)

    found = [each.what for each in filled.examine() if each.remedy]

    assert any(each.startswith(told) for each in found), found
    assert all(each.mended for each in filled.examine(repair=True))
    assert list(filled.examine()) == []


def test_what_nobody_can_mend_is_left(filled: SqliteStorage, path: Path) -> None:
    """A table that is gone, and a unique index over what is there twice, are told with no claim that it was mended."""
    _damage(
        path,
        "DROP INDEX ratings_by_key",
        "INSERT INTO ratings VALUES ('song-1', 'r1', 'U', 1, 0, 'key'), ('song-1', 'r2', 'U', 1, 0, 'key')",
    )
    index = [each for each in filled.examine(repair=True) if "ratings_by_key" in each.what]
    assert [each.mended for each in index] == [False]

    _damage(path, "DROP TABLE level_totals")
    assert [each.what for each in filled.examine(repair=True) if not each.remedy] == [
        "the table level_totals is missing: stop the service and restore a backup"
    ]


def test_other_folds_are_made_anew(filled: SqliteStorage, path: Path, deadline: At) -> None:
    """Where another Unicode folded the texts, repairing folds them again, in the tables and in the index."""
    _damage(path, "UPDATE songs SET artist_fold = 'beyoncé' WHERE id = 'song-1'")

    assert [each.mended for each in filled.examine(repair=True)] == [True]

    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        for song_filter in (SongFilter(text=fold("BEYONCÉ")), SongFilter(artist=fold("Beyoncé"))):
            assert [found.id for found in unit.songs.find(song_filter, limit=9)] == ["song-1"]
        assert unit.songs.count(SongFilter(text="beyoncé")) == 0


def test_repairing_beside_writers(filled: SqliteStorage, path: Path, deadline: At) -> None:
    """While statistics are spoilt and repaired, 8 writers of 2 processes lose no rating, and none is counted twice."""
    writers = [
        subprocess.Popen(
            [sys.executable, PROGRAM, "ratings", path, f"writer-{n}", str(THREADS), str(EACH), "song-1", "song-2"]
        )
        for n in range(PROCESSES)
    ]
    mended = 0
    try:
        while any(writer.poll() is None for writer in writers):
            _damage(
                path, "PRAGMA busy_timeout = 60000", "UPDATE stats SET n1 = n1 + 7, n4 = 0 WHERE song_id = 'song-1'"
            )
            mended += sum(each.mended for each in filled.examine(repair=True))
            _count(filled, deadline(60))
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()

    assert [writer.returncode for writer in writers] == [0, 0]
    assert mended > 0
    assert _count(filled, deadline(60)) == PROCESSES * THREADS * EACH
    assert list(filled.examine()) == []


def _count(storage: SqliteStorage, deadline: Deadline) -> int:
    """Return how many ratings there are, after seeing that the statistics of both songs are those of their ratings."""
    count = 0
    with storage.unit_of_work(Scope.READ, deadline=deadline) as unit:
        for song_id in ("song-1", "song-2"):
            events = unit.ratings.of_song(song_id, limit=10_000)
            assert unit.ratings.stats(song_id) == RatingStats.of(event.value for event in events)
            count += len(events)
    return count


def test_ratings_that_the_ports_show_are_not_removed(filled: SqliteStorage, path: Path, deadline: At) -> None:
    """An incarnation that no program of ours would have called so keeps its ratings; another look finds nothing."""
    _damage(path, "UPDATE stats SET incarnation = 'elsewhere' WHERE song_id = 'song-1'")
    with filled.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.ratings.add(rating("rating-1"))
    _damage(path, "UPDATE stats SET n1 = 7 WHERE song_id = 'song-1'")

    assert [finding.mended for finding in filled.examine(repair=True)] == [True]

    assert list(filled.examine()) == []
    with filled.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert unit.ratings.of_song("song-1", limit=9) == (rating("rating-1"),)
        assert unit.ratings.stats("song-1") == RatingStats.of([rating("rating-1").value])


def test_one_repair_removes_all_of_a_song_that_is_gone(filled: SqliteStorage, path: Path, deadline: At) -> None:
    """Also where its ratings have an incarnation: nothing of it is left for a second repair."""
    _damage(path, "UPDATE stats SET incarnation = 'song-1/again' WHERE song_id = 'song-1'")
    with filled.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.ratings.add(rating("rating-1"))
    _damage(path, "DELETE FROM songs WHERE id = 'song-1'")

    assert all(finding.mended for finding in filled.examine(repair=True))

    assert list(filled.examine()) == []
