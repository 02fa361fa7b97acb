"""Drives a storage: single units of work, threads that start together, and recorded histories."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from songs.errors import CacheUnavailable, LimiterUnavailable, SongsError, TransientConflict
from songs.model import Rating, RatingStats, Role, Session, Song, User
from songs.ports.cache import Cache, Miss
from songs.ports.coherence import CoherenceRecord
from songs.ports.limiter import RateLimiter
from songs.ports.ratings import RatingReceipt
from songs.ports.sessions import Rotation
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_contract.harness.subject import Subject
from songs_contract.models.linearizability import Operation, Recorded
from songs_contract.models.samples import (
    EVERYTHING,
    LATER,
    MORE_THAN_THERE_IS,
    next_version,
    rating,
    session,
    song,
    user,
)

A = TypeVar("A")
T = TypeVar("T")

RACE_S = 60.0
REFUSED_S = 1.0
"""How long an adapter stays closed at most, until one call was refused."""


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

    def write_each(self, works: Iterable[Callable[[UnitOfWork], T]]) -> list[T]:
        """Make writes in one transaction where the storage has them, which is quick, else each in a unit of its own."""
        if self.subject.declares("transactions"):
            return self.many(lambda unit: [work(unit) for work in works])
        return [self.write(work) for work in works]

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


def add_user(each: User, unit: UnitOfWork) -> None:
    """Store a user, as a write of `StorageUser.write_each`."""
    unit.users.add(each)


def add_session(each: Session, unit: UnitOfWork) -> None:
    """Store a session, as a write of `StorageUser.write_each`."""
    unit.sessions.add(each)


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


def lease_of(cache: Cache, group: str, key: str = "key") -> bytes:
    """Return a lease for an entry that is not there."""
    found = cache.get(group, key)
    assert isinstance(found, Miss), f"{group!r}, {key!r} is there: {found}"
    assert found.lease is not None
    return found.lease


def close_while_in_use(
    adapter: Cache | RateLimiter, calls: Sequence[Callable[[], object]], refusal: type[SongsError], *, times: int
) -> None:
    """Close and open an adapter while other threads make these calls, each in a thread of its own.

    Raises:
        Exception: A call ended with another error than `refusal`.
    """
    stop, refused = threading.Event(), threading.Event()

    def use(call: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                call()
            except refusal:
                refused.set()

    def close_and_open() -> None:
        try:
            for _ in range(times):
                refused.clear()
                adapter.close()
                refused.wait(REFUSED_S)
                adapter.open()
        finally:
            stop.set()

    work: list[Callable[[], None]] = [close_and_open]
    work += [partial(use, call) for call in calls]
    returned(race(work))


SESSIONS = ("session-1", "session-2", "session-3")


@dataclass(frozen=True)
class Contents:
    """What a storage holds, and what it finds and counts."""

    songs: tuple[Song, ...]
    by_title: tuple[tuple[str, ...], ...]
    ratings: tuple[tuple[Rating, ...], ...]
    stats: tuple[RatingStats | None, ...]
    totals: tuple[tuple[int, int], ...]
    users: tuple[User, ...]
    sessions: tuple[Session | None, ...]
    coherence: CoherenceRecord


def fill(use: StorageUser) -> None:
    """Write songs, ratings with and without keys, users, sessions and the coherence record; change and delete some."""
    use.add_many([song(f"song-{n}", level=n, artist="Beyoncé" if n % 2 else "Straße") for n in range(1, 6)])
    for n in range(40):
        key = f"key-{n}" if n % 3 else None
        use.rate(rating(f"rating-{n:02d}", song_id=f"song-{n % 4 + 1}", value=n % 5 + 1, key=key))
    use.replace_song(
        next_version(song("song-2", level=2, artist="Straße"), title="君が代", difficulty_milli=1, level=9)
    )
    use.delete_song("song-4")
    use.add_users(user("user-1"), user("user-2", role=Role.ADMIN), user("user-3"), user("user-4"))
    use.replace_user(replace(user("user-2", role=Role.EDITOR, disabled=True), version=2))
    for n, owner in zip((1, 2, 3), ("user-1", "user-3", "user-4"), strict=True):
        use.add_sessions(session(f"session-{n}", user_id=owner))
    use.rotate("hash-1", "hash-2", LATER)
    use.delete_user("user-3")
    use.write(lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False, cache="redis 0 a"))


def contents(use: StorageUser) -> Contents:
    """Return all that fresh units see, of the songs, ratings, users and sessions that `fill` writes and of others."""
    songs = use.page(limit=1000)
    return Contents(
        songs=songs,
        by_title=tuple(tuple(use.titled(each.title)) for each in songs),
        ratings=tuple(use.events(each.id) for each in songs),
        stats=tuple(use.stats(each.id) for each in songs),
        totals=tuple(use.totals(level) for level in (None, *range(10))),
        users=use.users(),
        sessions=tuple(use.session(each) for each in SESSIONS),
        coherence=use.read(lambda unit: unit.coherence.read()),
    )


CALLS = 6


def record(use: StorageUser, who: int, round_number: int) -> Iterator[Recorded[Operation]]:
    """Rate and read song-1 in turn, and yield when each call began and ended, and what it answered."""
    for n in range(CALLS):
        operation: Operation = (None, n % 5 + 1, f"key-{round_number}-{n}")[(n + who) % 3]
        # The monotonic clock is the same in every process of a machine.
        began = time.monotonic_ns()
        if operation is None:
            stats = use.stats()
        else:
            key, value = (operation, 1) if isinstance(operation, str) else (None, operation)
            event = rating(f"rating-{round_number}-{who}-{n}", value=value, key=key)
            stats = until_no_conflict(partial(use.rate, event)).stats
        ended = time.monotonic_ns()
        yield Recorded(began, ended, operation, stats.distribution if stats is not None else ())
