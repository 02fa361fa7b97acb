"""Disks without room: no write is half kept, reads go on, and no process ends."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.outages.disk import SmallDisk

from songs.errors import StorageUnavailable
from songs.model import Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_sqlite import SqliteStorage
from songs_sqlite.files import OpenFiles

Child = subprocess.Popen[str]
Start = Callable[..., Child]
At = Callable[[float], Deadline]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
OpenStorage = Callable[..., SqliteStorage]


def test_a_full_disk_keeps_nothing_and_harms_nothing(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], unit: Units
) -> None:
    """While the files may not grow, a write raises and keeps nothing, and reads go on; then the process writes on."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    storage.close()
    out, _ = start("fill", "S1").communicate()
    error, counts = out.splitlines()
    acknowledged, read, counted = map(int, counts.split())
    assert error.startswith("StorageUnavailable: ")
    assert (read, counted) == (acknowledged, acknowledged + 1)
    assert acknowledged > 0


def test_a_log_that_filled_the_disk_is_emptied(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], unit: Units
) -> None:
    """When the reader has gone for whom the log had grown, the first write succeeds, though no file may grow yet."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    storage.close()
    out, _ = start("fill_under_reader", "S1").communicate()
    assert out.splitlines() == ["StorageUnavailable after True", "[1, 2, 3]"]


def test_a_disk_with_less_room_than_the_log_takes_is_full(
    storage: SqliteStorage, song: Callable[..., Song], unit: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes stop while what is in the log could still be moved into the file, and go on when there is room."""
    with unit(Scope.READ) as reader:
        reader.songs.get("S1")
        with unit(Scope.WRITE_ONE) as write:
            write.songs.add(song("S1"))
        monkeypatch.setattr(OpenFiles, "has_room", lambda files: files.log_bytes == 0)
        with pytest.raises(StorageUnavailable, match="nearly full"), unit(Scope.WRITE_ONE):
            pytest.fail("entered")
    with unit(Scope.WRITE_ONE) as after:
        after.songs.add(song("S2"))


def test_a_full_disk_of_small_blocks_ends_no_process(
    path: Path, open_storage: OpenStorage, start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """However little room there is, a process opens the database and writes or says why not, and nothing is lost."""
    path.parent.mkdir()
    with SmallDisk.mounted(8, path.parent, block_bytes=1024) as disk:
        storage = open_storage()
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
            unit.songs.add(song("S1"))
        storage.close()
        said = []
        for left_kib in range(4, 92, 8):
            disk.fill(left_kib * 1024)
            said.append(start("rate_once", f"R{left_kib}", "S1").communicate()[0].strip())
            disk.empty()
        assert set(said) == {"rated", "refused"}
        storage.open()
        with storage.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
            stats = unit.ratings.stats("S1")
        storage.close()
        assert stats is not None
        assert stats.count == said.count("rated")
