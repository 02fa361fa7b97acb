"""Whether the storage and the cache answer, asked by at most one thread at a time."""

import threading
from dataclasses import dataclass

from songs.deadline import Deadline
from songs.errors import SongsError
from songs.ports.cache import Cache
from songs.ports.clock import Clock
from songs.ports.storage import Storage


@dataclass(frozen=True, slots=True)
class Found:
    """What answered."""

    storage: bool
    cache: bool


class ReadinessProbe:
    """Asks storage and cache. Thread-safe.

    While one thread asks, the others get what was found last, so that a storage that hangs holds one thread at most;
    what was found first is that the storage could be opened.
    Once the question has been open for longer than its deadline, that is an answer too: the storage is down.

    Args:
        storage: Must answer for requests to be served.
        cache: Is reported.
        clock: The monotonic clock of this process.
        deadline_s: How long the storage may take.
    """

    def __init__(self, storage: Storage, cache: Cache, clock: Clock, *, deadline_s: float) -> None:
        self._storage = storage
        self._cache = cache
        self._clock = clock
        self._deadline_s = deadline_s
        self._asking = threading.Lock()
        self._asked_at_s = 0.0
        # Nobody is served before the storage was opened, which asked it; of the cache nothing bad is known.
        self._found = Found(storage=True, cache=True)

    def ask(self) -> Found:
        """Return what answers now, or answered last if another thread is asking."""
        if not self._asking.acquire(blocking=False):
            overdue = self._clock.monotonic_s() - self._asked_at_s > self._deadline_s
            return Found(storage=False, cache=self._found.cache) if overdue else self._found
        try:
            self._asked_at_s = self._clock.monotonic_s()
            self._found = Found(storage=self._storage_answers(), cache=self._cache_answers())
            return self._found
        finally:
            self._asking.release()

    def _storage_answers(self) -> bool:
        try:
            self._storage.ping(deadline=Deadline.after(self._clock, self._deadline_s))
        except SongsError:
            return False
        return True

    def _cache_answers(self) -> bool:
        try:
            self._cache.ping()
        except SongsError:
            return False
        return True
