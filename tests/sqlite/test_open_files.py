"""Files that are moved, replaced, removed or cut off under an open storage: nothing is acknowledged that is lost."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from songs.errors import OutcomeUnknown, StorageMismatch, StorageUnavailable
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_sqlite import SqliteStorage
from songs_sqlite.files import OpenFiles, Shortened

Child = subprocess.Popen[str]
At = Callable[[float], Deadline]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
OpenStorage = Callable[..., SqliteStorage]
Make = Callable[..., Song]


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _index(path: Path) -> Path:
    return path.with_name(path.name + "-shm")


def _swap(path: Path) -> None:
    """Put a copy of a file in its place."""
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


HARMS: dict[str, Callable[[Path], object]] = {
    "the file is removed": lambda path: path.unlink(),
    "the file is replaced by a copy": _swap,
    "the folder is renamed": lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
    "the log is removed": lambda path: _log(path).unlink(),
    "the log is replaced by a copy": lambda path: _swap(_log(path)),
    "the log is emptied": lambda path: os.truncate(_log(path), 0),
    "the log is cut off": lambda path: os.truncate(_log(path), _log(path).stat().st_size // 2),
    "the log's index is removed": lambda path: _index(path).unlink(),
}


class _Watched(Deadline):
    """Notes that it was asked a second time: by what is about to wait."""

    def __init__(self, clock: Clock, at_s: float) -> None:
        super().__init__(clock, at_s)
        self.asked = 0
        self.asked_again = threading.Event()

    def remaining_s(self) -> float:
        """Return the seconds left."""
        self.asked += 1
        if self.asked == 2:
            self.asked_again.set()
        return super().remaining_s()


@pytest.fixture(params=list(HARMS))
def harm(request: pytest.FixtureRequest, path: Path) -> Callable[[], object]:
    """Does something to the files of the storage."""
    return lambda: HARMS[request.param](path)


def test_harm_is_noticed_by_the_next_write(
    storage: SqliteStorage, harm: Callable[[], object], unit: Units, song: Make, deadline: At
) -> None:
    """After files were harmed no write is acknowledged, and `ping` does not say that all is well."""
    for number in range(3):
        with unit(Scope.WRITE_ONE) as before:
            before.songs.add(song(f"S{number}"))
    harm()
    for number in range(3):
        with pytest.raises((StorageUnavailable, OutcomeUnknown)), unit(Scope.WRITE_ONE) as after:
            after.songs.add(song(f"T{number}"))
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        storage.ping(deadline=deadline(1))


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE_ONE])
def test_harm_is_noticed_by_a_unit_that_waited(
    open_storage: OpenStorage, path: Path, song: Make, clock: Clock, deadline: At, scope: Scope
) -> None:
    """The names are looked up when a connection is there, and not when the unit began to wait for it."""
    storage = open_storage(connections=1)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as before:
        before.songs.add(song("S1"))
    waiting = _Watched.after(clock, 30)
    found: list[object] = []

    def use() -> None:
        try:
            with storage.unit_of_work(scope, deadline=waiting) as unit:
                found.append(unit.songs.get("S1"))
        except StorageUnavailable as error:
            found.append(error.detail)

    thread = threading.Thread(target=use)
    with storage.unit_of_work(Scope.READ, deadline=deadline(30)) as holder:
        holder.songs.get("S1")
        thread.start()
        waiting.asked_again.wait(5)
        path.unlink()
    thread.join()

    assert ["removed or replaced" in str(each) for each in found] == [True]


def test_harm_within_a_unit_is_noticed_at_its_end(
    storage: SqliteStorage, harm: Callable[[], object], unit: Units, song: Make
) -> None:
    """A write that was under way is synced into what is gone by then, and not acknowledged."""
    for number in range(3):
        with unit(Scope.WRITE_ONE) as before:
            before.songs.add(song(f"S{number}"))
    with pytest.raises(OutcomeUnknown), unit(Scope.WRITE_ONE) as during:  # noqa: PT012 - the end of the block raises
        during.songs.add(song("T"))
        harm()


@pytest.mark.parametrize("name", ["the file is removed", "the file is replaced by a copy", "the log is removed"])
def test_reads_do_not_go_to_what_is_gone(storage: SqliteStorage, path: Path, unit: Units, name: str) -> None:
    """Other processes write to what is there now: what is open here shows nothing of that."""
    with unit(Scope.READ) as before:
        assert before.songs.get("S") is None
    HARMS[name](path)
    with pytest.raises(StorageUnavailable, match="removed or replaced"), unit(Scope.READ):
        pytest.fail("entered")


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("left", [0, 1, 0.5, -1])
def test_a_file_that_is_cut_off(
    storage: SqliteStorage,
    path: Path,
    unit: Units,
    song: Make,
    start: Callable[..., Child],
    *,
    left: float,
    within: bool,
) -> None:
    """A file of which pages are gone takes no more writes, though what is in memory and in the log hides it."""

    def cut_off() -> None:
        size = path.stat().st_size
        os.truncate(path, int(size * left) // 4096 * 4096 if 0 <= left < 1 else int(left) * 4096 % size)

    for number in range(100):
        with unit(Scope.WRITE_ONE) as before:
            before.songs.add(song(f"S{number}"))
    assert start("checkpoint").communicate()[0] == "0\n"
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S"))
    if within:
        with pytest.raises(OutcomeUnknown), unit(Scope.WRITE_ONE) as during:  # noqa: PT012 - as above
            during.songs.add(song("T"))
            cut_off()
    else:
        cut_off()
    for number in range(3):
        with pytest.raises((StorageUnavailable, StorageMismatch)), unit(Scope.WRITE_ONE) as after:
            after.songs.add(song(f"T{number}"))
    with pytest.raises((StorageUnavailable, StorageMismatch)), unit(Scope.READ) as read:
        read.songs.get("S")


@pytest.mark.parametrize("moved_first", [True, False])
def test_a_file_that_sqlite_shortens_is_not_cut_off(
    storage: SqliteStorage, path: Path, unit: Units, song: Make, start: Callable[..., Child], *, moved_first: bool
) -> None:
    """Whoever vacuums the database beside the service stops nothing."""
    for number in range(300):
        with unit(Scope.WRITE_ONE) as write:
            write.songs.add(song(f"S{number}", title="T" * 1000 + str(number)))
    if moved_first:
        assert start("checkpoint").communicate()[0] == "0\n"
    for number in range(299):
        with unit(Scope.WRITE_ONE) as write:
            assert write.songs.delete(f"S{number}")
    assert start("checkpoint").communicate()[0] == "0\n"
    storage.ping(deadline=Deadline.after(storage._clock, 5))
    before = path.stat().st_size
    assert start("vacuum").communicate()[0] == "0\n"
    assert path.stat().st_size < before
    storage.ping(deadline=Deadline.after(storage._clock, 5))
    with unit(Scope.WRITE_ONE) as write:
        write.songs.add(song("T"))
    with unit(Scope.READ) as read:
        assert read.songs.count(SongFilter()) == 2


@pytest.fixture
def files(tmp_path: Path) -> OpenFiles:
    """Looks at a file of two pages, and has done so once."""
    path = tmp_path / "songs.db"
    path.write_bytes(bytes(8192))
    files = OpenFiles(path)
    files.check_database()
    return files


def test_a_file_that_grows_during_a_look_is_not_cut_off(
    files: OpenFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that looked at the size before another one, and compares it after, finds nothing lost."""
    look = os.stat

    def overtaken(path: str) -> os.stat_result:
        found = look(path)
        monkeypatch.undo()
        os.truncate(tmp_path / "songs.db", 12288)
        files.check_database()
        return found

    monkeypatch.setattr(os, "stat", overtaken)
    assert files.check_database() is None


def test_several_notice_that_sqlite_shortened_the_file(files: OpenFiles, tmp_path: Path) -> None:
    """Of two threads that find the file shorter, the second to ask SQLite for its size finds nothing lost either."""
    os.truncate(tmp_path / "songs.db", 4096)
    looks = [files.check_database() for _ in range(2)]
    assert looks == [Shortened(8192, 4096)] * 2
    for shortened in looks:
        assert shortened
        files.check_shorter(shortened, 4096)
    assert files.check_database() is None


def test_a_shortened_file_whose_log_grows_is_not_cut_off(files: OpenFiles, tmp_path: Path) -> None:
    """The pages that are in the log alone, when SQLite is asked for its size, are not missed in the file later."""
    os.truncate(tmp_path / "songs.db", 12288)
    assert files.check_database() is None
    os.truncate(tmp_path / "songs.db", 4096)
    shortened = files.check_database()
    assert shortened
    files.check_shorter(shortened, 8192)
    assert files.check_database() is None


def test_another_look_does_not_hide_that_a_file_was_cut_off(files: OpenFiles, tmp_path: Path) -> None:
    """A thread that found the file shorter compares what it found, though the file grew for another one meanwhile."""
    os.truncate(tmp_path / "songs.db", 4096)
    shortened = files.check_database()
    os.truncate(tmp_path / "songs.db", 8192)
    assert files.check_database() is None
    assert shortened
    with pytest.raises(StorageUnavailable):
        files.check_shorter(shortened, 8192)


@pytest.mark.parametrize("beside", [_log, _index])
def test_what_comes_back_is_taken_up(
    storage: SqliteStorage, path: Path, unit: Units, song: Make, beside: Callable[[Path], Path]
) -> None:
    """A file that is back under its name, as it was, ends the outage."""
    moved = beside(path).rename(path.with_name("moved"))
    with pytest.raises(StorageUnavailable), unit(Scope.WRITE_ONE):
        pytest.fail("entered")
    moved.rename(beside(path))
    with unit(Scope.WRITE_ONE) as after:
        after.songs.add(song("S"))
    with unit(Scope.READ) as read:
        assert read.songs.get("S") == song("S")


@pytest.mark.parametrize("beside", [_log, _index])
def test_a_process_that_comes_later_begins_no_other_log(
    storage: SqliteStorage, path: Path, clock: Clock, start: Callable[..., Child], beside: Callable[[Path], Path]
) -> None:
    """Where others have the database open and its log is gone, it is not opened: what they wrote is in neither."""
    removed = beside(path).rename(path.with_name("moved"))
    child = start("open")
    out, _ = child.communicate()
    assert out.startswith("StorageUnavailable: The write-ahead log was removed"), out
    assert not beside(path).exists()
    removed.rename(beside(path))
    out, _ = start("open").communicate()
    assert out == "opened\n"


def test_a_log_that_others_empty_is_none_that_was_lost(
    storage: SqliteStorage, open_storage: OpenStorage, path: Path, unit: Units, song: Make, start: Callable[..., Child]
) -> None:
    """Checkpoints of other processes empty the log, and writing goes on."""
    for number in range(20):
        with unit(Scope.WRITE_ONE) as write:
            write.songs.add(song(f"S{number:02d}"))
        child = start("checkpoint")
        assert child.communicate()[0] == "0\n"
        assert _log(path).stat().st_size == 0
        storage.ping(deadline=Deadline.after(storage._clock, 5))
    with unit(Scope.READ) as read:
        assert read.songs.count(SongFilter()) == 20


@pytest.mark.parametrize("idle", [True, False])
def test_the_last_to_close_may_remove_the_log(
    open_storage: OpenStorage, path: Path, unit: Units, song: Make, *, idle: bool
) -> None:
    """Where a pool has no connection open, the log may go and another may come: that is no loss."""
    storage = open_storage()
    if idle:
        storage._opened().drop_idle()
    other = open_storage()
    with other.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(other._clock, 5)) as write:
        write.songs.add(song("S"))
    other.close()
    with storage.unit_of_work(Scope.READ, deadline=Deadline.after(storage._clock, 5)) as read:
        assert read.songs.get("S") == song("S")


def test_links_are_followed(path: Path, clock: Clock, song: Make, tmp_path: Path) -> None:
    """Through a link the log is found, where SQLite has it, and a link that leads elsewhere is noticed."""
    made = SqliteStorage(path, clock, connections=2)
    made.open()
    made.prepare()
    made.close()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    storage = SqliteStorage(link, clock, connections=2)
    storage.open()
    at = Deadline.after(clock, 5)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=at) as write:
        write.songs.add(song("S"))
    assert storage._opened().files.log_bytes == _log(path).stat().st_size > 0
    link.unlink()
    shutil.copy(path, tmp_path / "copy.db")
    link.symlink_to(tmp_path / "copy.db")
    with pytest.raises(StorageUnavailable), storage.unit_of_work(Scope.WRITE_ONE, deadline=at):
        pytest.fail("entered")
    storage.close()


def test_opening_makes_nothing(path: Path, clock: Clock) -> None:
    """Only `prepare` makes the file, with its folder; before it, units say what is to be done."""
    storage = SqliteStorage(path, clock, connections=2)
    storage.open()
    with pytest.raises(StorageMismatch, match="songs prepare"):
        storage.ping(deadline=Deadline.after(clock, 1))
    assert not path.parent.exists()
    storage.prepare()
    storage.ping(deadline=Deadline.after(clock, 1))
    storage.close()


def test_a_link_that_leads_nowhere_is_refused(path: Path, clock: Clock) -> None:
    """Nothing is made at the other end of a link: a volume may be missing there."""
    path.parent.mkdir()
    path.symlink_to(path.with_name("missing"))
    storage = SqliteStorage(path, clock, connections=2)
    storage.open()
    with pytest.raises(StorageUnavailable, match="leads nowhere"):
        storage.prepare()
    assert list(path.parent.iterdir()) == [path]
    storage.close()


def test_a_copy_is_another_database(storage: SqliteStorage, path: Path, clock: Clock) -> None:
    """A restored backup is not taken for the file that was open: the log beside it belongs to that one."""
    identity = storage.identity()
    storage.close()
    storage.open_existing(identity)
    storage.close()
    _swap(path)
    with pytest.raises(StorageUnavailable, match="another database"):
        storage.open_existing(identity)
    storage.open_existing()
    storage.close()
