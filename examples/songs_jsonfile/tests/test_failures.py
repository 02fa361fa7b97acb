"""Other processes, full disks, and being killed."""

import errno
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from songs_jsonfile import storage
from songs_jsonfile.log import Log
from songs_jsonfile.storage import JsonFileStorage
from storage_user import MachineClock, User

from songs.errors import OutcomeUnknown, StorageClosed, StorageInUse, StorageUnavailable
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_plugins.files import replace_file


def in_a_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; return what it was killed by, or else its exit code: 0 unless it raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killing_at(step: int, *codes: CodeType) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that kills the process before the n-th line of these functions is run."""
    left = step

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code not in codes:
            return None
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def test_a_second_opener_is_refused(user: User) -> None:
    """While one has it open, neither another process nor another object has it, also under another name."""
    alias = user.path.with_name("alias.jsonl")
    alias.symlink_to(user.path)

    def refused() -> None:
        for path in (user.path, alias):
            with pytest.raises(StorageInUse):
                JsonFileStorage(path).open()

    refused()
    assert in_a_child(refused) == 0
    user.storage.close()
    other = JsonFileStorage(alias)
    other.open()
    other.close()
    user.open()


def test_a_forked_process_does_not_use_what_it_inherited(user: User) -> None:
    """The child is refused, and its closing takes nothing from the parent."""

    def use() -> None:
        with pytest.raises(StorageClosed):
            user.rate(1)
        user.storage.close()

    assert in_a_child(use) == 0
    with pytest.raises(StorageInUse):
        JsonFileStorage(user.path).open()
    user.rate(2)
    assert user.rated() == ["r2"]


def test_a_unit_does_not_outlive_its_opening(user: User) -> None:
    """Closed and opened again in between, the storage takes no write of a unit that began before."""

    def write(unit: UnitOfWork) -> None:
        user.reopen()
        with pytest.raises(StorageClosed):
            unit.songs.delete("s1")

    user.run(Scope.WRITE_ONE, write)
    user.reopen()
    assert user.run(Scope.READ, lambda unit: unit.songs.get("s1")) is not None


def test_a_full_disk(user: User) -> None:
    """A write that does not fit is refused and leaves nothing; smaller ones and reads go on, later all is well."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    room = len(user.path.read_bytes()) + 1000

    def fill() -> None:
        user.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        refused: list[int] = []
        for n in range(10):
            try:
                user.rate(n)
            except StorageUnavailable:
                refused.append(n)
        stored = 10 - len(refused)
        assert refused == list(range(stored, 10))
        assert len(user.rated()) == stored > 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        user.rate(101)
        (user.path.parent / "stored").write_text(str(stored + 1))

    user.storage.close()
    assert in_a_child(fill) == 0
    user.open()
    assert len(user.rated()) == int((user.path.parent / "stored").read_text())


def test_a_failed_sync(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can say what was kept, so that is said; the next write that succeeds writes the whole file anew."""
    user.rate(1)
    whole = user.path.read_bytes()

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OutcomeUnknown):
            user.rate(2)
        with pytest.raises(StorageUnavailable, match="cannot be written"):
            user.rate(3)
    assert user.rated() == ["r1"]
    assert user.path.read_bytes() == whole
    before = user.path.stat().st_ino
    user.rate(4)
    assert user.path.stat().st_ino != before
    assert user.rated() == ["r1", "r4"]
    user.reopen()
    assert user.rated() == ["r1", "r4"]


def test_a_write_that_outlasts_its_deadline(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a slow sync kept is acknowledged and seen at once, and the same write again changes nothing."""
    passed_s = 0.0
    sync = os.fsync

    def slow(fd: int) -> None:
        nonlocal passed_s
        sync(fd)
        passed_s += 10.0

    monkeypatch.setattr(MachineClock, "monotonic_s", lambda _clock: passed_s)
    monkeypatch.setattr(os, "fsync", slow)
    user.add(2)
    for _ in range(2):
        user.rate(1)
        user.run(Scope.WRITE_ONE, lambda unit: unit.songs.delete("s2"))
    assert user.rated() == ["r1"]
    content = user.path.read_bytes()
    user.reopen()
    assert user.path.read_bytes() == content
    assert user.rated() == ["r1"]
    assert user.run(Scope.READ, lambda unit: unit.songs.count(SongFilter())) == 1


def test_killed_at_each_step_of_a_write(user: User) -> None:
    """Opened again, a write is there whole or not at all, and what was acknowledged before it is there."""
    user.rate(1)
    user.storage.close()
    seen: set[bool] = set()
    for step in range(1, 100):

        def write(step: int = step) -> None:
            user.open()
            sys.settrace(killing_at(step, Log.append.__code__))
            user.rate(1000 + step)

        status = in_a_child(write)
        user.open()
        rated = user.rated()
        user.storage.close()
        assert "r1" in rated
        seen.add(f"r{1000 + step}" in rated)
        if status == 0:
            assert step > 5
            assert seen == {True, False}
            return
        assert status == -signal.SIGKILL
    pytest.fail("the child never came to the end")


def test_killed_at_each_step_of_writing_the_file_anew(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it happens, all is there afterwards, and the next attempt succeeds."""
    for n in range(20):
        user.rate(n)
    rated = user.rated()
    user.storage.close()
    monkeypatch.setattr(storage, "SLACK", -100)  # always
    for step in range(1, 200):

        def prepare(step: int = step) -> None:
            user.storage.open()
            sys.settrace(killing_at(step, Log.rewrite.__code__, replace_file.__code__))
            user.storage.prepare()

        status = in_a_child(prepare)
        user.storage.open()
        assert user.rated() == rated
        user.storage.close()
        if status == 0:
            assert step > 20
            assert b'"coherence"' in user.path.read_bytes().splitlines()[-1], "it was not written anew"
            assert not user.path.with_name("songs.jsonl.new").exists()
            return
        assert status == -signal.SIGKILL
    pytest.fail("the child never came to the end")


def test_writing_the_file_anew_on_a_full_disk(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is a warning, and the old file goes on being used: what is there can be read and served."""
    for n in range(20):
        user.rate(n)
    monkeypatch.setattr(storage, "SLACK", -100)
    whole = user.path.read_bytes()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def prepare() -> None:
        user.storage.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        user.storage.prepare()
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert user.path.read_bytes() == whole
        assert not user.path.with_name("songs.jsonl.new").exists()
        user.rate(99)

    user.storage.close()
    assert in_a_child(prepare) == 0
    user.open()
    assert len(user.rated()) == 21


def test_an_outdated_log_that_fills_the_disk_is_written_anew(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log may not grow and most of it is out of date, a write makes room by itself, and is kept."""
    for n in range(2, 40):
        user.add(n)
        user.run(Scope.WRITE_ONE, lambda unit, n=n: unit.songs.delete(f"s{n}"))  # type: ignore[misc]
    monkeypatch.setattr(storage, "SLACK", 0)
    size = user.path.stat().st_size

    def rate() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        user.storage.open()
        for n in range(3):
            user.rate(n)

    user.storage.close()
    assert in_a_child(rate) == 0
    assert user.path.stat().st_size < size
    user.open()
    assert len(user.rated()) == 3


def test_what_is_synced_and_when(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is one sync; a new file is synced before it takes its name, and the folder after that."""
    calls: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(fd: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        sync(fd)

    def renamed(source: Path, target: Path) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(storage, "SLACK", -100)
    user.rate(1)
    assert calls == ["sync file"]
    user.storage.prepare()
    assert calls[1:] == ["sync file", "rename", "sync folder"]


def test_a_rename_that_may_not_last(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the folder cannot be synced nothing is written, to either file, until writing the file anew succeeds."""
    monkeypatch.setattr(storage, "SLACK", -100)
    sync = os.fsync

    def broken(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(StorageUnavailable):
            user.storage.prepare()
        with pytest.raises(StorageUnavailable):
            user.rate(1)
    user.rate(2)
    user.reopen()
    assert user.rated() == ["r2"]


def test_a_file_that_was_only_touched(user: User) -> None:
    """Other times or rights of the same bytes keep nobody from writing; other bytes do, with the old times too."""
    user.add(1)
    os.utime(user.path, (1, 1))
    user.add(2)
    user.path.chmod(0o640)
    user.add(3)
    content, before = user.path.read_bytes(), user.path.stat()
    user.path.write_bytes(content.swapcase())
    os.utime(user.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="written over"):
            user.add(4)
    user.path.write_bytes(content)
    user.add(4)
    user.reopen()
    assert user.run(Scope.READ, lambda unit: unit.songs.count(SongFilter())) == 4
