"""Storages, songs and other processes for the tests of songs_sqlite."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.sqlite.grouping import Group

from songs.model import Rating, Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models import samples
from songs_sqlite import SqliteStorage
from songs_system.system import SystemClock

Child = subprocess.Popen[str]
OpenStorage = Callable[..., SqliteStorage]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture(scope="session")
def clock() -> Clock:
    """The real clock: these tests wait for real locks."""
    return SystemClock()


@pytest.fixture(scope="session")
def deadline(clock: Clock) -> Callable[[float], Deadline]:
    """Makes a deadline, in seconds from now."""
    return lambda seconds: Deadline.after(clock, seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is, in a folder that is not there yet."""
    return tmp_path / "data" / "songs.db"


@pytest.fixture
def open_storage(path: Path, clock: Clock) -> Iterator[OpenStorage]:
    """Makes an open and prepared storage at `path`, closed at the end."""
    made: list[SqliteStorage] = []

    def make(*, connections: int = 9) -> SqliteStorage:
        storage = SqliteStorage(path, clock, connections=connections)
        made.append(storage)
        storage.open()
        storage.prepare()
        return storage

    yield make
    for storage in made:
        storage.close()


@pytest.fixture
def storage(open_storage: OpenStorage) -> SqliteStorage:
    """An open and prepared storage."""
    return open_storage()


@pytest.fixture
def unit(storage: SqliteStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture(scope="session")
def song() -> Callable[..., Song]:
    """Makes a song, by default one that differs from all others in its title."""

    def make(song_id: str, *, artist: str = "Queen", title: str | None = None, level: int = 3) -> Song:
        return samples.song(
            song_id,
            artist=artist,
            title=title or f"Song {song_id}",
            level=level,
        )

    return make


@pytest.fixture(scope="session")
def rating() -> Callable[..., Rating]:
    """Makes a rating."""

    def make(rating_id: str, song_id: str, value: int = 3, *, key: str | None = None) -> Rating:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return Rating(id=rating_id, song_id=song_id, user_id="U1", value=value, rated_at=moment, key=key)

    return make


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Child]]:
    """Starts `program.py` in another process on `path`; what is still running at the end is killed."""
    children: list[Child] = []

    def run(command: str, *arguments: object, under: tuple[str, ...] = ()) -> Child:
        line = [*under, sys.executable, str(PROGRAM), command, str(path), *map(str, arguments)]
        child = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture(scope="session")
def released() -> Callable[[Child], AbstractContextManager[None]]:
    """Lets the block run while a child of the command ``hold`` has its lock, and ends the child after it."""

    @contextmanager
    def holding(child: Child) -> Iterator[None]:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield
        child.communicate("\n")
        assert child.returncode == 0

    return holding


@pytest.fixture
def group(storage: SqliteStorage, deadline: Callable[[float], Deadline], monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group that a unit of the test's own thread begins, and that ends when nobody waits, however long that takes."""
    monkeypatch.setattr("songs_sqlite.group.LONGEST_S", 60.0)
    return Group(storage, deadline(30))
