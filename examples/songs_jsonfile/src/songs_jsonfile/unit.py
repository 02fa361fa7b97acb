"""A unit of work: here no more than a scope, a deadline and a beginning and end."""

from collections.abc import Iterator
from contextlib import contextmanager

from songs.errors import SongsError, Unsupported
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_jsonfile.accounts import JsonFileSessions, JsonFileUsers
from songs_jsonfile.changes import Change
from songs_jsonfile.coherence import JsonFileCoherence
from songs_jsonfile.journal import Journal
from songs_jsonfile.ratings import JsonFileRatings
from songs_jsonfile.songs import JsonFileSongs
from songs_jsonfile.state import State
from songs_plugins.guarded_unit import GuardedUnit


class Unit(GuardedUnit[Journal]):
    """A unit of work. It holds nothing between calls: each call takes the lock, and a write is done when it returns.

    So there is nothing to commit, to roll back or to free; what was written before an exception is kept (STO-6).
    """

    def __init__(self, journal: Journal, scope: Scope, deadline: Deadline) -> None:
        super().__init__(scope, deadline)
        self._journal = journal
        self.songs = JsonFileSongs(self)
        self.ratings = JsonFileRatings(self)
        self.users = JsonFileUsers(self)
        self.sessions = JsonFileSessions(self)
        self.coherence = JsonFileCoherence(self)

    @contextmanager
    def read(self) -> Iterator[State]:
        """Lend out the data for one call.

        Raises:
            ScopeViolation: The unit's block has not begun, or has ended, or belongs to another thread.
            StorageUnavailable, DeadlineExceeded: Not before the deadline, or not any more.
        """
        with self.reading().turn(self._deadline) as state:
            yield state

    @contextmanager
    def write(self) -> Iterator[State]:
        """Lend out the data for one write: to be checked, and then changed by `record` alone.

        Raises:
            ScopeViolation: As in `read`; or the unit may not write, or not any more.
            StorageUnavailable, DeadlineExceeded: Not before the deadline, or not any more.
        """
        with self.writing().turn(self._deadline) as state:
            yield state

    def record(self, change: Change) -> None:
        """Make the change that the write comes to, on disk and in memory. Only within `write`, and once.

        Raises:
            StorageUnavailable: It could not be written; nothing was kept.
            OutcomeUnknown: It may have been kept.
        """
        self._journal.record(change)

    def failed(self, error: SongsError) -> SongsError:
        # Each write is kept or lost by itself: there is no end of the block that could keep a part of it.
        return error

    def _begin(self) -> Journal:
        if self._scope is Scope.WRITE_MANY:
            raise Unsupported("The storage 'jsonfile' has no transactions; use one WRITE_ONE unit for each write.")
        return self._journal

    def _end(self, held: Journal, *, commit: bool) -> None:
        """Do nothing."""
