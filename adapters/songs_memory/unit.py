"""The unit of work: one thread's view of the state, and what it makes of it."""

from typing import Protocol

from songs.errors import SongsError
from songs.one_by_one import OneByOne
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs, MemoryUsers
from songs_memory.state import State
from songs_plugins.guarded_unit import GuardedUnit


class Source(Protocol):
    """Where units get the state from and leave it."""

    def current(self) -> State:
        """Return the committed state; raises `StorageClosed`."""
        ...

    def lock(self, deadline: Deadline) -> None:
        """Become the one writer; raises `StorageUnavailable` when another one is for too long."""
        ...

    def unlock(self) -> None:
        """Let the next writer in."""
        ...

    def publish(self, before: State, after: State) -> None:
        """Make `after` the committed state, which is `before` now; raises `StorageClosed`."""
        ...


class MemoryUnit(GuardedUnit[State]):
    """A unit of work. It holds the state as it sees it, which each write replaces by another."""

    __slots__ = ("_before", "_songs", "_source")

    def __init__(self, source: Source, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._source = source
        self._songs = MemorySongs(self)
        self._before: State | None = None

    @property
    def songs(self) -> MemorySongs:
        """The songs."""
        return self._songs

    @property
    def ratings(self) -> MemoryRatings:
        """The ratings."""
        return MemoryRatings(self)

    @property
    def users(self) -> MemoryUsers:
        """The users."""
        return MemoryUsers(self)

    @property
    def sessions(self) -> MemorySessions:
        """The sessions."""
        return MemorySessions(self)

    @property
    def coherence(self) -> MemoryCoherence:
        """The coherence record."""
        return MemoryCoherence(self)

    @property
    def batches(self) -> OneByOne:
        """Reads of many records, which are all here."""
        return OneByOne(self)

    def stage(self, state: State) -> None:
        """Make `state` what this unit sees, and publishes when its block ends cleanly."""
        self._held = state

    def failed(self, error: SongsError) -> SongsError:
        # A write is staged whole or not at all, so what was staged before an error may be committed.
        return error

    def _begin(self) -> State:
        if self._scope is not Scope.READ:
            self._source.lock(self._deadline)
        try:
            self._before = state = self._source.current()
        except BaseException:
            if self._scope is not Scope.READ:
                self._source.unlock()
            raise
        return state

    def _end(self, held: State, *, commit: bool) -> None:
        before, self._before = self._before, None
        if self._scope is Scope.READ:
            return
        try:
            if commit and before is not None and held is not before:
                self._source.publish(before, held)
        finally:
            self._source.unlock()
