"""Opening and preparing: whose file it is, of which version, and who may read it."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import songs_sqlite.migrations
from songs.errors import StorageClosed, StorageMismatch, StorageUnavailable
from songs.model import Song
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_sqlite import SqliteStorage
from songs_sqlite.files import APPLICATION_ID
from songs_sqlite.migrations import MIGRATIONS, NEWEST

OpenStorage = Callable[..., SqliteStorage]
At = Callable[[float], Deadline]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _foreign(path: Path, *statements: str) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_constructing_touches_nothing(path: Path, clock: Clock) -> None:
    """Before `open` there is neither file nor folder, and no unit of work."""
    storage = SqliteStorage(path, clock, connections=2)
    assert not path.parent.exists()
    with pytest.raises(StorageClosed):
        storage.unit_of_work(Scope.READ, deadline=Deadline.after(clock, 1))


def test_file_and_folder_are_private(storage: SqliteStorage, path: Path, unit: Callable[..., UnitOfWork]) -> None:
    """The folder is for its owner alone, and so are the file and what SQLite puts beside it."""
    assert _mode(path.parent) == 0o700
    names = {file.name: _mode(file) for file in path.parent.iterdir()}
    assert names == {"songs.db": 0o600, "songs.db-wal": 0o600, "songs.db-shm": 0o600}


def test_the_file_says_whose_it_is(storage: SqliteStorage, path: Path) -> None:
    """The application id stands in the file itself, not only in its log, where another process would miss it."""
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4)


def test_preparing_again_changes_nothing(
    open_storage: OpenStorage, path: Path, song: Callable[..., Song], deadline: At
) -> None:
    """A second `prepare`, and one of another storage object, leave schema and data as they are."""
    storage = open_storage()
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add(song("S1"))
    dump = _dump(path)
    storage.prepare()
    open_storage().prepare()
    assert _dump(path) == dump


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE theirs (x)",),
        ("PRAGMA application_id = 252006673",),
        ("PRAGMA user_version = 1",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE theirs (x)"),
    ],
)
def test_another_programs_database_is_refused(path: Path, clock: Clock, statements: tuple[str, ...]) -> None:
    """A database of another program is refused and not changed by a byte."""
    before = _foreign(path, *statements)
    with pytest.raises(StorageMismatch, match="another program"):
        SqliteStorage(path, clock, connections=2).open()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["songs.db"]


@pytest.mark.parametrize("content", [b"x", b"artist,title\n" * 100, b"SQLite format 3\0"])
def test_a_file_that_is_no_database_is_refused(path: Path, clock: Clock, content: bytes) -> None:
    """Any other file is refused and not changed."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StorageMismatch, match="not an SQLite database"):
        SqliteStorage(path, clock, connections=2).open()
    assert path.read_bytes() == content


def test_an_empty_database_is_taken(path: Path, open_storage: OpenStorage) -> None:
    """A database in which nothing was ever made may become ours: an operator may have made it."""
    assert _foreign(path, "PRAGMA journal_mode = WAL")
    open_storage().close()


@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_newer_schema_is_refused(path: Path, open_storage: OpenStorage, clock: Clock, *, checkpointed: bool) -> None:
    """A file of a newer release is refused with its version, be that in the file or still in the log."""
    open_storage().close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {NEWEST + 1}")
    if checkpointed:
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with pytest.raises(StorageMismatch, match=f"schema version {NEWEST + 1}"):
        SqliteStorage(path, clock, connections=2).open()
    assert newer.execute("PRAGMA user_version").fetchone() == (NEWEST + 1,)
    newer.close()


@pytest.mark.parametrize("attempt", range(8))
def test_open_storages_may_prepare_at_once(path: Path, clock: Clock, attempt: int) -> None:
    """Four that have a new file open and prepare it together all succeed, whichever lock they meet."""
    storages = [SqliteStorage(path, clock, connections=2) for _ in range(4)]
    for storage in storages:
        storage.open()
    together = threading.Barrier(len(storages))

    def prepare(storage: SqliteStorage) -> None:
        together.wait()
        storage.prepare()

    with ThreadPoolExecutor(len(storages)) as threads:
        list(threads.map(prepare, storages))
    for storage in storages:
        storage.close()


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_file_of_an_older_release_is_brought_up_to_date(
    version: int, open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, song: Callable[..., Song], clock: Clock
) -> None:
    """A file of each earlier schema version keeps its songs, is of the newest one afterwards, and finds the songs."""
    monkeypatch.setattr(songs_sqlite.migrations, "MIGRATIONS", MIGRATIONS[:version])
    monkeypatch.setattr(songs_sqlite.migrations, "NEWEST", version)
    old = open_storage()
    with old.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(clock, 5)) as unit:
        unit.songs.add(song("S1"))
    old.close()
    monkeypatch.undo()
    new = open_storage()
    assert new.versions()["schema"] == str(NEWEST)
    with new.unit_of_work(Scope.READ, deadline=Deadline.after(clock, 5)) as unit:
        assert unit.songs.find(SongFilter(text=fold(song("S1").title)), limit=9) == (song("S1"),)
    assert list(new.examine()) == []


def test_a_coherence_record_of_schema_2(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, path: Path, clock: Clock
) -> None:
    """It is kept and names no cache; a process of before, which knows no names and still runs, leaves them alone."""
    monkeypatch.setattr(songs_sqlite.migrations, "MIGRATIONS", MIGRATIONS[:2])
    monkeypatch.setattr(songs_sqlite.migrations, "NEWEST", 2)
    open_storage().close()
    monkeypatch.undo()
    before = sqlite3.connect(path, isolation_level=None)
    before.execute("UPDATE coherence SET epoch = 7, cache_on = 0")
    new = open_storage()

    def read() -> CoherenceRecord:
        with new.unit_of_work(Scope.READ, deadline=Deadline.after(clock, 5)) as unit:
            return unit.coherence.read()

    assert read() == CoherenceRecord(7, cache_on=False)
    with new.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(clock, 5)) as unit:
        unit.coherence.advance(expected_epoch=7, cache_on=False, cache="redis 0 a")
    before.execute("UPDATE coherence SET epoch = epoch + 1, cache_on = 1 WHERE only = 1 AND epoch = 8")
    before.close()
    assert read() == CoherenceRecord(9, cache_on=True, cache="redis 0 a")


def test_a_failed_migration_leaves_nothing(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last statement of a migration fails, none of it is kept, and a later `prepare` completes it."""
    storage = SqliteStorage(path, clock, connections=2)
    storage.open()
    monkeypatch.setattr(songs_sqlite.migrations, "MIGRATIONS", ((*MIGRATIONS[0], "CREATE TABLE songs (x)"),))
    with pytest.raises(StorageUnavailable):
        storage.prepare()
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert reader.execute("PRAGMA user_version").fetchone() == (0,)
    reader.close()
    monkeypatch.undo()
    storage.prepare()
    storage.ping(deadline=Deadline.after(clock, 1))
    storage.close()


def test_a_storage_that_was_not_prepared_says_so(path: Path, clock: Clock) -> None:
    """A unit on a file without tables tells the operator what to run."""
    storage = SqliteStorage(path, clock, connections=2)
    storage.open()
    with (
        pytest.raises(StorageMismatch, match="songs prepare"),
        storage.unit_of_work(Scope.READ, deadline=Deadline.after(clock, 1)) as unit,
    ):
        unit.songs.get("S1")
    with pytest.raises(StorageMismatch):
        storage.ping(deadline=Deadline.after(clock, 1))
    storage.close()


@pytest.mark.parametrize(
    ("version", "missing"), [((3, 36, 0), "needs 3.37.0 or newer"), (sqlite3.sqlite_version_info, "trigram")]
)
def test_an_old_library_is_refused(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], missing: str
) -> None:
    """A SQLite that is too old, or was built without the trigram tokenizer, is named before a file is made."""

    class Without:
        sqlite_version_info = version
        sqlite_version = sqlite3.sqlite_version
        Error = sqlite3.Error

        @staticmethod
        def connect(_: str) -> sqlite3.Connection:
            connection = sqlite3.connect(":memory:")
            connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
            return connection

    monkeypatch.setattr(songs_sqlite.migrations, "sqlite3", Without)
    with pytest.raises(StorageUnavailable, match=missing):
        SqliteStorage(path, clock, connections=2).open()
    assert not path.exists()


@pytest.mark.parametrize("kind", ["folder", "file in the way", "pipe"])
def test_a_path_that_cannot_be_is_refused(path: Path, clock: Clock, kind: str) -> None:
    """A path that is a folder, or leads through a file, is an error that names the path."""
    if kind == "folder":
        path.mkdir(parents=True)
    elif kind == "pipe":
        path.parent.mkdir()
        os.mkfifo(path)  # which nobody ever writes to
    else:
        path.parent.write_text("in the way")
    with pytest.raises(StorageUnavailable, match=r"songs\.db"):
        SqliteStorage(path, clock, connections=2).open()


def test_a_damaged_file_is_reported(
    open_storage: OpenStorage, path: Path, song: Callable[..., Song], deadline: At
) -> None:
    """Where pages of the file are rubbish, reads say that it is damaged and what to do, and raise nothing else."""
    storage = open_storage()
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add_many([song(f"S{n}") for n in range(1000)])
    storage.close()
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    with pytest.raises(StorageUnavailable, match=r"damaged.*restore a backup"):
        open_storage()


def test_closing_frees_the_file(storage: SqliteStorage, path: Path, clock: Clock) -> None:
    """After `close` the log is folded into the file; `open` opens it again; both may be called twice."""
    storage.open()
    storage.close()
    storage.close()
    assert [file.name for file in path.parent.iterdir()] == ["songs.db"]
    with pytest.raises(StorageClosed):
        storage.ping(deadline=Deadline.after(clock, 1))
    storage.open()
    storage.ping(deadline=Deadline.after(clock, 1))
