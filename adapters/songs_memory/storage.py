"""The storage: one committed state, replaced by one assignment."""

import threading
from collections.abc import Iterator, Mapping
from unicodedata import unidata_version

from songs.errors import StorageClosed, StorageUnavailable
from songs.ports.clock import Deadline
from songs.ports.maintenance import Finding
from songs.ports.storage import Scope, StorageCapabilities
from songs_memory.search import INDEX_FROM, SearchIndex, SongSearch
from songs_memory.state import State
from songs_memory.tables import SongTable
from songs_memory.unit import MemoryUnit


class MemoryStorage:
    """Keeps everything in this process's memory, until it is closed.

    It is not durable: `close` drops all data, and `open` after it begins with an empty storage (STO-17 promises the
    data to durable storages alone).

    The state is an immutable value. A READ unit takes the committed state once, so that it never waits for a writer
    and never sees half a write. Writing units take turns; each makes a new state of the committed one and publishes
    it when its block ends cleanly. A unit whose turn does not come before its deadline raises `StorageUnavailable`;
    one that begins after its deadline, or calls a repository after it, raises `DeadlineExceeded`.

    Args:
        index_from: From how many songs on searches use an index of words instead of a scan.
    """

    capabilities = StorageCapabilities(
        durable=False, shared=False, transactions=True, snapshot_reads=True, maintenance=True
    )

    def __init__(self, *, index_from: int = INDEX_FROM) -> None:
        self._index_from = index_from
        self._state: State | None = None
        self._publishing = threading.Lock()
        self._writing = threading.Lock()

    def open(self) -> None:
        with self._publishing:
            if self._state is None:
                self._state = State(songs=SongTable(search=SongSearch(SearchIndex(self._index_from))))

    def prepare(self) -> None:
        self.current()

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> MemoryUnit:
        self.current()
        return MemoryUnit(self, scope, deadline)

    def ping(self, *, deadline: Deadline) -> None:
        self.current()

    def versions(self) -> Mapping[str, str]:
        self.current()
        return {"Unicode": unidata_version}

    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        # All that is kept twice is part of the one state, which is replaced as a whole.
        self.current()
        return iter(())

    def close(self) -> None:
        with self._publishing:
            self._state = None

    def current(self) -> State:
        """Return the committed state.

        Raises:
            StorageClosed: The storage was not opened, or was closed.
        """
        state = self._state
        if state is None:
            raise StorageClosed
        return state

    def lock(self, deadline: Deadline) -> None:
        """Become the one writer.

        Raises:
            StorageUnavailable: Other writers took until the deadline.
        """
        if not self._writing.acquire(blocking=False) and not self._writing.acquire(timeout=deadline.remaining_s()):
            raise StorageUnavailable("Other units of work were writing for too long; nothing was changed. Try again.")

    def unlock(self) -> None:
        """Let the next writer in."""
        self._writing.release()

    def publish(self, before: State, after: State) -> None:
        """Make `after` the committed state, all of it at once.

        Raises:
            StorageClosed: The storage was closed since `before` was taken; nothing is kept.
        """
        with self._publishing:
            if self._state is not before:
                raise StorageClosed
            self._state = after
