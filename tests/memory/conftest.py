"""Storages, songs and clocks for the tests of songs_memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from tests.clock import ManualClock

from songs.model import Rating, Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_contract.models import samples
from songs_memory.storage import MemoryStorage
from songs_system.system import SystemClock

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still but for `advance`."""
    return ManualClock()


@pytest.fixture
def advance(clock: Clock) -> Callable[[float], None]:
    """Moves `clock` on by some seconds."""
    return clock.sleep


@pytest.fixture(scope="session")
def deadline() -> Callable[[float], Deadline]:
    """Makes a deadline, in seconds of the real clock."""
    return lambda seconds: Deadline.after(SystemClock(), seconds)


@pytest.fixture
def storage() -> Iterator[MemoryStorage]:
    """An open, empty storage."""
    storage = MemoryStorage()
    storage.open()
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture(scope="session")
def new_units(deadline: Callable[[float], Deadline]) -> Callable[[int], Units]:
    """Opens an empty storage that indexes from a number of songs on, and returns what begins its units of work."""

    def make(index_from: int) -> Units:
        storage = MemoryStorage(index_from=index_from)
        storage.open()
        storage.prepare()
        return lambda scope: storage.unit_of_work(scope, deadline=deadline(60))

    return make


@pytest.fixture
def units(storage: MemoryStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins units of work of `storage`, with a generous deadline."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(60))


@pytest.fixture(scope="session")
def new_song() -> Callable[..., Song]:
    """Makes a song of an id; all else may be left out, and two songs differ in their titles."""

    def make(song_id: str, *, artist: str = "Artist", title: str | None = None, level: int = 1, **more: int) -> Song:
        return samples.song(
            song_id,
            artist=artist,
            title=title or f"Title {song_id}",
            level=level,
            **more,
        )

    return make


@pytest.fixture(scope="session")
def new_rating() -> Callable[..., Rating]:
    """Makes a rating of an id and a song."""

    def make(rating_id: str, song_id: str, *, value: int = 3, user_id: str = "user", key: str | None = None) -> Rating:
        rated_at = datetime(2026, 1, 1, tzinfo=UTC)
        return Rating(id=rating_id, song_id=song_id, user_id=user_id, value=value, rated_at=rated_at, key=key)

    return make
