"""What the suites share: samples, short ways to run one unit of work, and threads that start together."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from songs.errors import CacheUnavailable, LimiterUnavailable, TransientConflict
from songs.model import Rating, RatingStats, Role, Session, Song, User
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_contract.subject import Subject

A = TypeVar("A")
T = TypeVar("T")

NOW = datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
EVERYTHING = SongFilter()
MORE_THAN_THERE_IS = 1000
RACE_S = 60.0


def song(song_id: str = "song-1", **changes: Any) -> Song:  # noqa: ANN401 - any member
    """Return a song whose title is its id, with changes."""
    members: dict[str, Any] = {
        "artist": "Trad.",
        "title": f"Title {song_id}",
        "difficulty_milli": 5_250,
        "level": 5,
        "released": date(1850, 6, 15),
    }
    return Song(id=song_id, **(members | changes))


def rating(rating_id: str = "rating-1", **changes: Any) -> Rating:  # noqa: ANN401 - any member
    """Return a rating of song-1, with changes."""
    members: dict[str, Any] = {"song_id": "song-1", "user_id": "user-1", "value": 4, "rated_at": NOW}
    return Rating(id=rating_id, **(members | changes))


def user(user_id: str = "user-1", **changes: Any) -> User:  # noqa: ANN401 - any member
    """Return a user whose name is its id, with changes."""
    members: dict[str, Any] = {"name": user_id, "password_hash": "a-hash", "role": Role.USER, "created_at": NOW}
    return User(id=user_id, **(members | changes))


def session(session_id: str = "session-1", **changes: Any) -> Session:  # noqa: ANN401 - any member
    """Return a session of user-1 whose current hash is "hash-1", with changes."""
    members: dict[str, Any] = {
        "user_id": "user-1",
        "current_hash": "hash-1",
        "created_at": NOW,
        "rotated_at": NOW,
        "expires_at": NOW + timedelta(days=30),
    }
    return Session(id=session_id, **(members | changes))


def next_version(before: Song, **changes: Any) -> Song:  # noqa: ANN401 - any member
    """Return the next version of a song, with changes."""
    return replace(before, version=before.version + 1, **changes)


@dataclass(frozen=True)
class StorageUser:
    """Runs single units of work on one storage."""

    storage: Storage
    subject: Subject

    def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a READ unit of its own."""
        return self._run(Scope.READ, work)

    def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a WRITE_ONE unit of its own."""
        return self._run(Scope.WRITE_ONE, work)

    def many(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run `work` in a WRITE_MANY unit of its own."""
        return self._run(Scope.WRITE_MANY, work)

    def on(self, storage: Storage) -> "StorageUser":
        """Return the same for another storage object."""
        return StorageUser(storage, self.subject)

    def add_songs(self, *songs: Song) -> None:
        """Store songs, each in a unit of its own."""
        for each in songs:
            with self._unit(Scope.WRITE_ONE) as unit:
                unit.songs.add(each)

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        """Store songs in one batch and return the ids of those that were refused."""
        return self.write(lambda unit: unit.songs.add_many(songs))

    def replace_song(self, changed: Song) -> None:
        """Store the next version of a song if the one before it is stored."""
        self.write(lambda unit: unit.songs.replace(changed, if_version=changed.version - 1))

    def delete_song(self, song_id: str = "song-1", *, if_version: int | None = None) -> bool:
        """Remove a song and return whether it was there."""
        return self.write(lambda unit: unit.songs.delete(song_id, if_version=if_version))

    def rate(self, event: Rating) -> RatingReceipt:
        """Store a rating and return its receipt."""
        return self.write(lambda unit: unit.ratings.add(event))

    def add_users(self, *users: User) -> None:
        """Store users, each in a unit of its own."""
        for each in users:
            with self._unit(Scope.WRITE_ONE) as unit:
                unit.users.add(each)

    def replace_user(self, changed: User) -> None:
        """Store the next version of a user if the one before it is stored."""
        self.write(lambda unit: unit.users.replace(changed, if_version=changed.version - 1))

    def delete_user(self, user_id: str = "user-1") -> bool:
        """Remove a user and return whether it was there."""
        return self.write(lambda unit: unit.users.delete(user_id))

    def add_sessions(self, *sessions: Session) -> None:
        """Store sessions, each in a unit of its own."""
        for each in sessions:
            with self._unit(Scope.WRITE_ONE) as unit:
                unit.sessions.add(each)

    def rotate(self, presented: str, following: str, at: datetime = LATER, session_id: str = "session-1") -> Rotation:
        """Rotate a session's token with ten seconds of grace."""
        return self.write(
            lambda unit: unit.sessions.rotate(
                session_id, presented_hash=presented, next_hash=following, at=at, grace_s=10.0
            )
        )

    def song(self, song_id: str = "song-1") -> Song | None:
        """Return a song, as a fresh unit sees it."""
        return self.read(lambda unit: unit.songs.get(song_id))

    def stats(self, song_id: str = "song-1") -> RatingStats | None:
        """Return a song's statistics, as a fresh unit sees them."""
        return self.read(lambda unit: unit.ratings.stats(song_id))

    def events(self, song_id: str = "song-1") -> tuple[Rating, ...]:
        """Return the events of a song, as a fresh unit sees them."""
        return self.read(lambda unit: unit.ratings.of_song(song_id, limit=100_000))

    def page(
        self, song_filter: SongFilter = EVERYTHING, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Return some of the songs that meet a filter, as a fresh unit sees them."""
        return self.read(lambda unit: unit.songs.find(song_filter, limit=limit, after_id=after_id, offset=offset))

    def find(self, song_filter: SongFilter = EVERYTHING) -> list[str]:
        """Return the ids that meet a filter, as a fresh unit sees them."""
        return [each.id for each in self.page(song_filter, limit=MORE_THAN_THERE_IS)]

    def count(self, song_filter: SongFilter = EVERYTHING) -> int:
        """Return how many songs meet a filter, as a fresh unit counts them."""
        return self.read(lambda unit: unit.songs.count(song_filter))

    def titled(self, title: str) -> list[str]:
        """Return the ids that a search for a title finds, as a fresh unit sees them."""
        return self.find(SongFilter(text=fold(title)))

    def totals(self, level: int | None) -> tuple[int, int]:
        """Return how many songs of a level there are and the sum of their difficulties, as a fresh unit sees them."""
        found = self.read(lambda unit: unit.songs.difficulty_totals(level))
        return found.count, found.sum_milli

    def user(self, user_id: str = "user-1") -> User | None:
        """Return a user, as a fresh unit sees it."""
        return self.read(lambda unit: unit.users.get(user_id))

    def user_named(self, name: str) -> User | None:
        """Return the user of that name, as a fresh unit sees it."""
        return self.read(lambda unit: unit.users.by_name(name))

    def users(self) -> tuple[User, ...]:
        """Return the users, as a fresh unit sees them."""
        return self.read(lambda unit: unit.users.find(limit=MORE_THAN_THERE_IS))

    def session(self, session_id: str = "session-1") -> Session | None:
        """Return a session, as a fresh unit sees it."""
        return self.read(lambda unit: unit.sessions.get(session_id))

    def _run(self, scope: Scope, work: Callable[[UnitOfWork], T]) -> T:
        with self._unit(scope) as unit:
            return work(unit)

    def _unit(self, scope: Scope) -> AbstractContextManager[UnitOfWork]:
        return self.storage.unit_of_work(scope, deadline=self.subject.deadline())


def until_no_conflict(work: Callable[[], T]) -> T:
    """Run `work`, again after each `TransientConflict`, as the services do."""
    for _ in range(200):
        try:
            return work()
        except TransientConflict:
            continue
    return work()


def each_of(work: Callable[[A], T], arguments: Iterable[A]) -> list[Callable[[], T]]:
    """Return what `race` runs: for each argument a function that calls `work` with it, again after each conflict."""
    return [partial(until_no_conflict, partial(work, each)) for each in arguments]


def race(work: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Run each function in a thread of its own, all started together; return what each returned or raised.

    Raises:
        AssertionError: A thread did not end: something waits without a deadline.
    """
    barrier = threading.Barrier(len(work))
    outcomes: list[Any] = [None] * len(work)

    def run(index: int) -> None:
        barrier.wait(RACE_S)
        try:
            outcomes[index] = work[index]()
        except Exception as error:  # noqa: BLE001 - the test decides which errors were permitted
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(RACE_S)
    assert not any(thread.is_alive() for thread in threads), "a call did not return: something waits without a deadline"
    return outcomes


def unless_a_server_was_late(work: Callable[[str], list[T | Exception]], times: int = 5) -> list[T | Exception]:
    """Return the outcomes of a race in which the server of a cache or a limiter answered in time.

    On a busy machine it may not, which those ports report; such a race says nothing. Each attempt is given a name of
    its own, for a bucket or a group.
    """
    outcomes: list[T | Exception] = []
    for _ in range(times):
        outcomes = work(f"attempt-{uuid4().hex}")
        if not any(isinstance(outcome, CacheUnavailable | LimiterUnavailable) for outcome in outcomes):
            break
    return outcomes


def returned(outcomes: Iterable[T | Exception]) -> list[T]:
    """Return what every thread of a race returned.

    Raises:
        Exception: The error that a thread ended with; the first one, if there were several.
    """
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        results.append(outcome)
    return results
