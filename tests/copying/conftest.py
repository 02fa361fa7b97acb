"""Two storages in memory and what copies one into the other; storages that fail or cheat on purpose."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.clock import ManualClock

from songs.application.runner import UnitRunner
from songs.caching.coherence import Coherence
from songs.model import Rating, RatingStats, Role, Song, User
from songs.one_by_one import OneByOne
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs.query import SongFilter
from songs.tools.comparing import StorageReader
from songs.tools.copying import Copier
from songs_contract.models import samples
from songs_memory.storage import MemoryStorage
from songs_plugins.none import NoCache

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Work = Callable[[UnitOfWork], Any]
Bending = Callable[[Any], dict[str, Any]]
"""Returns, for a repository, the members that are others."""


@dataclass(frozen=True)
class Dump:
    """Everything that a storage holds but for sessions."""

    songs: tuple[Song, ...]
    users: tuple[User, ...]
    ratings: tuple[tuple[Rating, ...], ...]
    stats: tuple[RatingStats | None, ...]


@dataclass
class Place:
    """A storage, and what may go wrong with it.

    Attributes:
        storage: Where the data are.
        clock: The clock of its deadlines.
        fail: Raised, one a unit, before that unit begins; None lets it run.
        cheat: Given each unit that is handed out; what it returns is handed out instead.
        scopes: The scope of every unit that began.
    """

    storage: Storage
    clock: Clock
    fail: Iterator[BaseException | None] = field(default_factory=lambda: iter(()))
    cheat: Callable[[UnitOfWork], Any] = lambda unit: unit
    scopes: list[Scope] = field(default_factory=list)
    _coherence: list[Coherence] = field(default_factory=list)

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:
        """Return a unit that may fail or cheat."""
        error = next(self.fail, None)
        if error is not None:
            raise error
        self.scopes.append(scope)
        with self.storage.unit_of_work(scope, deadline=deadline) as unit:
            yield self.cheat(unit)

    def do(self, *works: Work) -> None:
        """Run each of `works` in a unit of its own, without what may go wrong."""
        for work in works:
            with self.storage.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(self.clock, 5)) as unit:
                work(unit)

    def dump(self) -> Dump:
        """Return everything that is there."""
        with self.storage.unit_of_work(Scope.READ, deadline=Deadline.after(self.clock, 5)) as unit:
            songs = unit.songs.find(SongFilter(), limit=10_000)
            return Dump(
                songs,
                unit.users.find(limit=10_000),
                tuple(unit.ratings.of_song(song.id, limit=10_000) for song in songs),
                tuple(unit.ratings.stats(song.id) for song in songs),
            )

    def coherence(self) -> CoherenceRecord:
        """Return the coherence record."""
        with self.storage.unit_of_work(Scope.READ, deadline=Deadline.after(self.clock, 5)) as unit:
            return unit.coherence.read()

    def outdating(self) -> Coherence:
        """Return what makes writes visible, the same each time: it remembers that nobody else is there to wait for."""
        if not self._coherence:
            self._coherence.append(Coherence(NoCache(), self.runner(), self.clock))
        return self._coherence[0]

    def runner(self) -> UnitRunner:
        """Return what runs units of this place."""
        return UnitRunner(self, self.clock, max_calls=2)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pair:
    """What is copied, and where to."""

    source: Place
    target: Place

    def copier(self, *, transactions: bool = True) -> Copier:
        """Return what copies."""
        runner = self.target.runner()
        clock = self.target.clock
        source = StorageReader("old", self.source.runner(), clock)
        target, coherence = StorageReader("new", runner, clock), self.target.outdating()
        return Copier(source, target, runner, coherence, clock, transactions=transactions)


class Make:
    """Makes records, each `number` another."""

    @staticmethod
    def song(number: int, **changes: Any) -> Song:
        """Return a song, each `number` another."""
        members: dict[str, Any] = {
            "song_id": f"song-{number:04d}",
            "artist": "Antonín Dvořák",
            "title": f"Humoresque {number}",
            "difficulty_milli": 1_000 + number,
            "level": number % 7,
            "version": number % 3 + 1,
        }
        return samples.song(**{**members, **changes})

    @staticmethod
    def user(number: int, **changes: Any) -> User:
        """Return a user, each `number` another."""
        members: dict[str, Any] = {
            "id": f"user-{number:04d}",
            "name": f"Anna{number}",
            "password_hash": f"hash {number}",
            "role": list(Role)[number % 3],
            "disabled": number % 4 == 0,
            "created_at": NOW + timedelta(milliseconds=number),
            "token_version": number % 5 + 1,
            "version": number % 2 + 1,
        }
        return User(**{**members, **changes})

    @staticmethod
    def rating(number: int, song_id: str = "song-0000", **changes: Any) -> Rating:
        """Return a rating, each `number` another; every other one has a key."""
        members: dict[str, Any] = {
            "id": f"rating-{number:04d}",
            "song_id": song_id,
            "user_id": f"user-{number % 3:04d}",
            "value": number % 5 + 1,
            "rated_at": NOW - timedelta(milliseconds=number),
            "key": f"key-{number}" if number % 2 else None,
        }
        return Rating(**{**members, **changes})

    @staticmethod
    def fill(place: Place, *, songs: int, ratings: int, users: int) -> None:
        """Put songs, users, and ratings of song 0 and of the last song into a storage."""
        place.do(
            lambda unit: unit.songs.add_many([Make.song(number) for number in range(songs)]),
            *(lambda unit, n=n: unit.users.add(Make.user(n)) for n in range(users)),
            *(lambda unit, n=n: unit.ratings.add(Make.rating(n)) for n in range(ratings)),
            *(lambda unit, n=n: unit.ratings.add(Make.rating(n, Make.song(songs - 1).id)) for n in range(9_000, 9_003)),
        )


@pytest.fixture(scope="session")
def make() -> type[Make]:
    """Makes records."""
    return Make


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two empty storages in memory."""
    storages = [MemoryStorage(), MemoryStorage()]
    for storage in storages:
        storage.open()
        storage.prepare()
    yield Pair(*(Place(storage, ManualClock()) for storage in storages))
    for storage in storages:
        storage.close()


@pytest.fixture
def small(pair: Pair) -> Pair:
    """5 songs, 6 ratings and 3 users to copy."""
    Make.fill(pair.source, songs=5, ratings=3, users=3)
    return pair


@pytest.fixture(scope="session")
def new_place() -> Callable[[Storage], Place]:
    """Makes a place of a storage that is open."""
    return lambda storage: Place(storage, ManualClock())


class Bent:
    """A unit or a repository of which some members are others."""

    def __init__(self, inner: Any, **members: Any) -> None:
        self._inner = inner
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture(scope="session")
def bend() -> Callable[[str, Bending], Callable[[UnitOfWork], Any]]:
    """Makes what bends one repository of every unit."""

    def cheat(repository: str, bending: Bending) -> Callable[[UnitOfWork], Any]:
        def bent(unit: UnitOfWork) -> Bent:
            inner = getattr(unit, repository)
            found: Any = Bent(unit, **{repository: Bent(inner, **bending(inner))})
            found.batches = OneByOne(found)
            return cast("Bent", found)

        return bent

    return cheat
