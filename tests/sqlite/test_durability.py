"""What is acknowledged is on the disk: one sync a commit."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from songs.model import Song
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models.samples import next_version
from songs_sqlite import SqliteStorage
from songs_sqlite.unit import Unit

Child = subprocess.Popen[str]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
SYNC = re.compile(r"\b(fdatasync|fsync)\(.* = 0$", re.MULTILINE)


def test_every_connection_syncs_its_commits(storage: SqliteStorage, unit: Units) -> None:
    """A write-ahead log, synced at every commit (2 is FULL), and foreign keys, on each connection of the pool."""
    with unit(Scope.READ) as first, unit(Scope.WRITE_ONE) as second:
        for each in (first, second):
            assert isinstance(each, Unit)
            assert each.rows("PRAGMA journal_mode") == [("wal",)]
            assert each.rows("PRAGMA synchronous") == [(2,)]
            assert each.rows("PRAGMA foreign_keys") == [(0,)]


def _syncs(start: Callable[..., Child], log: Path, count: int) -> int:
    child = start("commits", "S1", count, under=("strace", "-f", "-o", str(log), "-e", "trace=fdatasync,fsync"))
    if child.wait():
        pytest.skip("strace may not trace processes here")
    return len(SYNC.findall(log.read_text()))


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the strace program on the PATH")
def test_a_commit_is_one_sync(
    storage: SqliteStorage, unit: Units, start: Callable[..., Child], song: Callable[..., Song], tmp_path: Path
) -> None:
    """Twenty ratings more are twenty syncs more, seen from outside of the process."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    few = _syncs(start, tmp_path / "few", 5)
    assert few >= 5
    assert _syncs(start, tmp_path / "many", 25) - few == 20


def test_units_that_change_nothing_write_nothing(
    storage: SqliteStorage, unit: Units, path: Path, song: Callable[..., Song]
) -> None:
    """A repeated write, a read and a unit that was rolled back leave the log as it was."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    log = path.with_name("songs.db-wal").read_bytes()
    with unit(Scope.WRITE_ONE) as again:
        again.songs.add(song("S1"))
    with unit(Scope.READ) as reading:
        reading.songs.get("S1")
    with pytest.raises(ZeroDivisionError), unit(Scope.WRITE_ONE) as undone:  # noqa: PT012 - an exception of the block's own
        undone.songs.add(song("S2"))
        raise ZeroDivisionError
    assert path.with_name("songs.db-wal").read_bytes() == log


def test_the_log_is_emptied_in_spite_of_readers(
    storage: SqliteStorage,
    unit: Units,
    path: Path,
    song: Callable[..., Song],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large log is emptied after a commit; where a reader needs it still, once it has grown by as much again."""
    monkeypatch.setattr("songs_sqlite.pool.LARGE_LOG_BYTES", 300_000)
    storage.close()
    storage.open()
    log = path.with_name("songs.db-wal")

    def write(first: int) -> int:
        with unit(Scope.WRITE_ONE) as writing:
            writing.songs.add_many([song(f"S{n}") for n in range(first, first + 500)])
        return log.stat().st_size

    assert write(0) > 0
    assert write(1_000) == 0
    with unit(Scope.READ) as reading:
        assert reading.songs.get("S0") is not None  # from its first read on it needs the log
        sizes = [write(2_000), write(3_000), write(4_000)]
        assert sizes == sorted(sizes)
        assert sizes[0] > 0
        assert reading.songs.get("S2000") is None
        assert storage._opened()._large_log_bytes > sizes[-1]
    assert 0 in [write(5_000), write(6_000)]


def test_the_file_passes_sqlites_own_checks(
    storage: SqliteStorage, unit: Units, path: Path, song: Callable[..., Song]
) -> None:
    """After additions, changes and deletions tables, indexes, references and the search index agree."""
    with unit(Scope.WRITE_MANY) as changing:
        changing.songs.add_many([song(f"S{n}", artist="Beyoncé", level=n % 7) for n in range(300)])
        for n in range(0, 300, 3):
            moved = Song(id=f"S{n}", details=song(f"M{n}", artist="Sigur Rós", level=9).details, version=2)
            changing.songs.replace(moved, if_version=1)
            harder = next_version(moved, difficulty_milli=n)
            changing.songs.replace(harder, if_version=2)
        for n in range(0, 300, 5):
            changing.songs.delete(f"S{n}")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.execute("INSERT INTO songs_search (songs_search, rank) VALUES ('integrity-check', 1)")
    kept = connection.execute("SELECT level, count, sum_milli FROM level_totals WHERE count > 0").fetchall()
    real = connection.execute("SELECT level, count(*), sum(difficulty_milli) FROM songs GROUP BY level").fetchall()
    connection.close()
    assert kept == real
