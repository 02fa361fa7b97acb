"""The unit of work: one thread's view of the state, and what it makes of it."""

import threading
from types import TracebackType
from typing import Protocol, Self

from songs.errors import ScopeViolation
from songs.one_by_one import OneByOne
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_memory.repositories import MemoryCoherence, MemoryRatings, MemorySessions, MemorySongs, MemoryUsers
from songs_memory.state import State


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


class MemoryUnit:
    """A unit of work. Whatever is against its scope raises `ScopeViolation`, to find callers that rely on more.

    That is: a write in READ; a second call of any write in WRITE_ONE, whether the first one changed anything or not;
    and every call before the block, after it, or from a thread other than the one that entered it.
    """

    __slots__ = ("_before", "_deadline", "_scope", "_songs", "_source", "_state", "_thread", "_used", "_wrote")

    def __init__(self, source: Source, scope: Scope, deadline: Deadline) -> None:
        self._source = source
        self._songs = MemorySongs(self)
        self._scope = scope
        self._deadline = deadline
        self._before: State | None = None
        self._state: State | None = None
        self._thread = 0
        self._used = False
        self._wrote = False

    def __enter__(self) -> Self:
        if self._used:
            raise ScopeViolation("A unit of work is good for one with statement; ask the storage for another one.")
        self._deadline.check()
        if self._scope is not Scope.READ:
            self._source.lock(self._deadline)
        try:
            self._before = self._state = self._source.current()
        except BaseException:
            if self._scope is not Scope.READ:
                self._source.unlock()
            raise
        self._thread = threading.get_ident()
        self._used = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        before, after = self._before, self._state
        self._before = self._state = None
        if self._scope is Scope.READ:
            return
        try:
            if kind is None and before is not None and after is not None and after is not before:
                self._source.publish(before, after)
        finally:
            self._source.unlock()

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

    def reading(self) -> State:
        """Return the state as this unit sees it.

        Raises:
            ScopeViolation: The block has not begun, or has ended, or belongs to another thread.
            DeadlineExceeded: The unit's time is used up.
        """
        state = self._state
        if state is None:
            raise ScopeViolation("A unit of work can be used within its with block only.")
        if threading.get_ident() != self._thread:
            raise ScopeViolation("A unit of work belongs to the thread that entered its with block.")
        self._deadline.check()
        return state

    def writing(self) -> State:
        """Return the state as this unit sees it, for one write.

        Raises:
            ScopeViolation: As in `reading`; or the scope does not allow this write.
            DeadlineExceeded: The unit's time is used up.
        """
        state = self.reading()
        if self._scope is Scope.READ:
            raise ScopeViolation("A READ unit of work was asked to write; use WRITE_ONE or WRITE_MANY.")
        if self._scope is Scope.WRITE_ONE and self._wrote:
            raise ScopeViolation("A WRITE_ONE unit of work was asked for a second write; use WRITE_MANY.")
        self._wrote = True
        return state

    def stage(self, state: State) -> None:
        """Make `state` what this unit sees, and publishes when its block ends cleanly."""
        self._state = state
