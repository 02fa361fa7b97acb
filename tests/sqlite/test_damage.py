"""Records, numbers and indexes of a file that somebody damaged."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from songs.errors import StorageDamaged
from songs.model import Song
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models import samples
from songs_sqlite import SqliteStorage
from songs_sqlite.testing import STATEMENTS

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
SEARCH = SongFilter(text="title")


def _damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def rated(storage: SqliteStorage, unit: Units, song: Callable[..., Song]) -> SqliteStorage:
    """A storage with a song that has one rating."""
    with unit(Scope.WRITE_MANY) as writing:
        writing.songs.add(song("s1", title="A title"))
        writing.ratings.add(samples.rating("r1", song_id="s1"))
    return storage


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE songs SET level = 999", "song s1 is damaged (/level: must be between 0 and 100)"),
        ("UPDATE songs SET released = '20000-01-01'", "song s1 is damaged"),
        ("UPDATE ratings SET value = 9", "rating r1 is damaged (/rating: must be between 1 and 5)"),
        ("UPDATE ratings SET rated_at_ms = 1 << 62", "rating r1 is damaged"),
        ("UPDATE users SET role = 'king'", "user u1 is damaged"),
        ("UPDATE sessions SET expires_at_ms = 1 << 62", "session x1 is damaged"),
    ],
)
def test_a_record_that_is_damaged(
    damage: str, told: str, storage: SqliteStorage, path: Path, unit: Units, song: Callable[..., Song]
) -> None:
    """What no record can hold is a fault of the storage, not of the caller's input; the message names the record."""
    with unit(Scope.WRITE_MANY) as writing:
        writing.songs.add(song("s1"))
        writing.ratings.add(samples.rating("r1", song_id="s1"))
        writing.users.add(samples.user("u1", name="ada"))
        writing.sessions.add(samples.session("x1"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)

    def read() -> None:
        with unit(Scope.READ) as reading:
            reading.songs.get("s1")
            reading.ratings.of_song("s1", limit=1)
            reading.users.get("u1")
            reading.sessions.get("x1")

    with pytest.raises(StorageDamaged, match=re.escape(told)):
        read()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE stats SET n3 = 0x7fffffffffffffff",
        "UPDATE level_totals SET count = 0x7fffffffffffffff",
        "UPDATE level_totals SET sum_milli = 0x7fffffffffffffff",
    ],
)
def test_a_counter_at_the_end_of_all_numbers(
    damage: str, rated: SqliteStorage, path: Path, unit: Units, song: Callable[..., Song]
) -> None:
    """One more is damage of the storage, no invalid input, and nothing is stored; recounting mends it."""
    _damage(path, damage)

    def write() -> None:
        with unit(Scope.WRITE_MANY) as writing:
            writing.songs.add(song("s2"))
            writing.ratings.add(samples.rating("r2", song_id="s1", value=3))

    with pytest.raises(StorageDamaged, match="out of range"):
        write()
    assert all(finding.mended for finding in rated.examine(repair=True))
    write()


def test_totals_beyond_all_numbers(rated: SqliteStorage, path: Path, unit: Units) -> None:
    """What cannot be added up is damage as well."""
    _damage(path, "INSERT INTO level_totals VALUES (98, 0x7fffffffffffffff, 0), (99, 0x7fffffffffffffff, 0)")
    with pytest.raises(StorageDamaged, match="out of range"), unit(Scope.READ) as reading:
        reading.songs.difficulty_totals()


def test_a_search_index_that_is_damaged(rated: SqliteStorage, path: Path, unit: Units) -> None:
    """Searches say so, and repairing rebuilds it: no backup is needed, as it is made of the songs."""
    _damage(path, *STATEMENTS["the search index is damaged"])
    with pytest.raises(StorageDamaged, match="doctor --repair"), unit(Scope.READ) as reading:
        reading.songs.find(SEARCH, limit=9)

    (found,) = [finding for finding in rated.examine() if "search index is damaged" in finding.what]
    assert (found.remedy, found.mended) == ("rebuild it", False)
    assert all(finding.mended for finding in rated.examine(repair=True))

    assert list(rated.examine()) == []
    with unit(Scope.READ) as reading:
        assert [each.id for each in reading.songs.find(SEARCH, limit=9)] == ["s1"]


def test_a_search_index_that_cannot_be_rebuilt(rated: SqliteStorage, path: Path) -> None:
    """It is not said to be mended, and what comes after it is looked at all the same."""
    rated.close()
    _damage(path, "DELETE FROM songs_search_data", "UPDATE meta SET value = '1/1.1.0' WHERE name = 'fold_version'")
    rated.open()

    said = [finding.what for finding in rated.examine(repair=True)]

    assert any("search index is damaged and cannot be rebuilt" in each for each in said)
    assert any("not folded" in each for each in said)
