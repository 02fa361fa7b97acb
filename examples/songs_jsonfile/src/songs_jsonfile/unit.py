"""A unit of work: here no more than a scope, a deadline and a beginning and end."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from songs.errors import ScopeViolation, Unsupported
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_jsonfile.accounts import JsonFileSessions, JsonFileUsers
from songs_jsonfile.changes import Change
from songs_jsonfile.coherence import JsonFileCoherence
from songs_jsonfile.journal import Journal
from songs_jsonfile.ratings import JsonFileRatings
from songs_jsonfile.songs import JsonFileSongs
from songs_jsonfile.state import State


class Unit:
    """A unit of work. It holds nothing between calls: each call takes the lock, and a write is done when it returns.

    So there is nothing to commit, to roll back or to free; what was written before an exception is kept (STO-6).
    """

    def __init__(self, journal: Journal, scope: Scope, deadline: Deadline) -> None:
        self._journal = journal
        self._scope = scope
        self._deadline = deadline
        self._open = False
        self._wrote = False
        self.songs = JsonFileSongs(self)
        self.ratings = JsonFileRatings(self)
        self.users = JsonFileUsers(self)
        self.sessions = JsonFileSessions(self)
        self.coherence = JsonFileCoherence(self)

    def __enter__(self) -> Self:
        if self._scope is Scope.WRITE_MANY:
            raise Unsupported("The storage 'jsonfile' has no transactions; use one WRITE_ONE unit for each write.")
        self._deadline.check()
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False

    @contextmanager
    def reading(self) -> Iterator[State]:
        """Lend out the data for one call.

        Raises:
            ScopeViolation: The unit's block has not begun, or has ended.
            Unavailable: Not before the deadline, or not any more.
        """
        if not self._open:
            raise ScopeViolation("A unit of work can be used within its with block only.")
        with self._journal.turn(self._deadline) as state:
            yield state

    @contextmanager
    def writing(self) -> Iterator[State]:
        """Lend out the data for one write: to be checked, and then changed by `record` alone.

        Raises:
            ScopeViolation: As in `reading`; or the unit may not write, or not any more.
            Unavailable: Not before the deadline, or not any more.
        """
        with self.reading() as state:
            if self._scope is Scope.READ:
                raise ScopeViolation("A READ unit of work was asked to write; use WRITE_ONE.")
            if self._wrote:
                raise ScopeViolation("A WRITE_ONE unit of work was asked for a second write; use another unit.")
            self._wrote = True
            yield state

    def record(self, change: Change) -> None:
        """Make the change that the write comes to, on disk and in memory. Only within `writing`, and once.

        Raises:
            StorageUnavailable: It could not be written; nothing was kept.
            OutcomeUnknown: It may have been kept.
        """
        self._journal.record(change)
