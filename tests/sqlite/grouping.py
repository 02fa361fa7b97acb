"""Units that are in one group, for tests."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from songs.model import Rating, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.timing import eventually
from songs_sqlite import SqliteStorage

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
Work = Callable[[UnitOfWork], object]


class Group:
    """Runs units in threads, so that one follows the other within one group.

    Attributes:
        results: What each unit returned or raised, by its place in the group, in the order in which they ended.
    """

    def __init__(self, storage: SqliteStorage, deadline: Deadline) -> None:
        self.results: dict[int, object] = {}
        self._storage = storage
        self._deadline = deadline
        self._threads: list[threading.Thread] = []

    def add(self, work: Work, scope: Scope = Scope.WRITE_ONE, deadline: Deadline | None = None) -> None:
        """Let a unit wait for its turn."""
        place = len(self._threads)

        def run() -> None:
            try:
                with self._storage.unit_of_work(scope, deadline=deadline or self._deadline) as unit:
                    result = work(unit)
            except BaseException as error:  # noqa: BLE001 - what it is, is what is tested
                result = error
            self.results[place] = result

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()
        waiting = self._storage._opened().writing.waiting
        eventually(lambda: len(waiting) == len(self._threads), within_s=30)

    def finish(self) -> list[object]:
        """Return the results, once all have ended."""
        for thread in self._threads:
            thread.join()
        return [self.results[place] for place in sorted(self.results)]


def added(song: Song) -> Work:
    """Return what adds a song."""
    return lambda unit: unit.songs.add(song)


def rated(rating: Rating) -> Work:
    """Return what adds a rating, and returns the song's count."""
    return lambda unit: unit.ratings.add(rating).stats.count


def stored(unit: Units) -> set[str]:
    """Return the ids of the songs."""
    with unit(Scope.READ) as reading:
        return {song.id for song in reading.songs.find(SongFilter(), limit=100)}


def kinds(results: list[object]) -> list[type]:
    """Return the types."""
    return [type(result) for result in results]


def begin_with_answers(
    group: Group, first: UnitOfWork, song: Callable[..., Song], rating: Callable[..., Rating]
) -> None:
    """Begin a group in which answers rest on what its first unit adds, and its second."""
    first.songs.add(song("S0", title="same"))
    group.add(rated(rating("R1", "S0", key="k")))
    group.add(added(song("S2", title="same")))
    group.add(rated(rating("R3", "S0", 5, key="k")))
    group.add(lambda unit: unit.ratings.stats("S0"))
    group.add(rated(rating("R1", "S0", key="k")))
