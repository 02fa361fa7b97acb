"""Group commit: writers of one process take turns, and those that follow each other share a transaction and its sync.

The first begins a transaction. When it ends while others wait for their turn, it does not commit: it becomes a member
of a `Group`, gives its turn to the next, the open transaction with it, and waits. The next runs under a savepoint of
its own, so that its failure undoes its own statements alone. The last commits: where nobody waits, at `UNITS`, or after
`LONGEST_S`, so that other processes come to the lock. All members then return, each with the outcome of that commit.

So only the unit with the turn touches the connection. A group is concluded once, under a lock: kept, after its sync, or
failed. A member that wrote, and waits too long because another does not come to its end, withdraws the group, unless
its commit has begun: nothing of it is kept then, and every member fails. So no write is committed after its unit has
returned; caches are invalidated after that (`songs.caching.coherence`). A member that wrote nothing, or was undone,
fails at the same time and withdraws nothing: it has nothing in the transaction that could be committed later.

Each unit after the first sees what those before it wrote, which may still be lost. It therefore becomes a member
however it ends: also one that failed, or wrote nothing, returns when the group is kept, and if it is not, with an error
in place of its answer.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from songs.errors import OutcomeUnknown, SongsError, StorageUnavailable, TransientConflict
from songs.ports.clock import Clock, Deadline
from songs_sqlite.connection import Connection, locked

UNITS: Final = 64
"""Members of a group."""
LONGEST_S: Final = 0.004
"""How long a group takes in members."""
GRACE_S: Final = 0.2
"""How long beyond its deadline a member waits for a commit to begin. Less, and under load each unit that is nearly out
of time would undo what the others did."""


class FifoLock:
    """A lock with a queue. Thread-safe.

    With `threading.Lock` a thread that lets go and comes again overtakes those that wait: of several writers some then
    wait for hundreds of turns of the others, and miss their deadlines. A bulkhead would not do either: its
    free slots go to the first to ask.

    Attributes:
        waiting: Those that wait. Not empty: somebody waits at this moment.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self.waiting: deque[threading.Lock] = deque()

    def take(self, timeout_s: float, interrupted: Callable[[], None] | None = None) -> bool:
        """Wait for the turn, up to `timeout_s` seconds; return whether it came.

        Args:
            timeout_s: How long to wait.
            interrupted: Called in place of `end` where the turn came, and at the same moment an exception (Ctrl-C).
        """
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            place = threading.Lock()
            place.acquire()
            self.waiting.append(place)
        try:
            came = place.acquire(timeout=timeout_s)
        except BaseException:
            if not self._left(place):
                (interrupted or self.end)()
            raise
        # A turn that came at the last moment is a turn: nobody else would end it.
        return came or not self._left(place)

    def end(self) -> None:
        """End the turn: the next in the queue has it now."""
        with self._guard:
            if self.waiting:
                self.waiting.popleft().release()
            else:
                self._taken = False

    def pass_on(self) -> bool:
        """Give the turn to the next in the queue; return False where nobody waits, and keep it."""
        with self._guard:
            if not self.waiting:
                return False
            self.waiting.popleft().release()
            return True

    def _left(self, place: threading.Lock) -> bool:
        """Leave the queue; return False where there is nothing to leave any more, as the turn had come."""
        with self._guard:
            if place not in self.waiting:
                return False
            self.waiting.remove(place)
            return True


class Group:
    """Units that share the transaction of `connection`, after the first of them ended. Thread-safe.

    Args:
        connection: Their connection; of the one with the turn.
        clock: Measures how long more are taken in.
    """

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self._until = Deadline.after(clock, LONGEST_S)
        self._guard = threading.Lock()
        self._waiting: list[threading.Lock] = []
        self._committing = self._concluded = False
        self._error: SongsError | None = None

    @property
    def takes_more(self) -> bool:
        """Whether another unit may join."""
        return not self._concluded and len(self._waiting) < UNITS and self._until.remaining_s() > 0.0

    def join(self) -> threading.Lock:
        """Return a place to `wait` at; to be called before the turn is passed on."""
        place = threading.Lock()
        with self._guard:
            if not self._concluded:
                place.acquire()
                self._waiting.append(place)
        return place

    def close(self) -> bool:
        """Begin the commit, which can only be waited for from now on; return False where the group has failed."""
        with self._guard:
            self._committing = not self._concluded
            return self._committing

    def conclude(self, error: SongsError | None = None) -> None:
        """Let all members return, with `error` if given; only the first call counts."""
        with self._guard:
            self._conclude(error)

    def wait(self, place: threading.Lock, deadline: Deadline, *, wrote: bool) -> None:
        """Return when the group is kept.

        Args:
            place: What `join` returned.
            deadline: The unit's.
            wrote: Whether the unit is to be kept; else there is only its answer to wait for.

        Raises:
            OutcomeUnknown: The commit failed, and something may have been kept; only for units that `wrote`.
            TransientConflict: The group failed because of another unit; nothing was kept.
            StorageUnavailable: It was not concluded in time, or could not be kept; nothing was.
        """
        if not place.acquire(timeout=deadline.remaining_s() + GRACE_S):
            if not wrote or self._withdraw():
                raise locked()
            # The commit has begun: it takes as long as one of its own would.
            place.acquire()
        error = self._error
        if error is None:
            return
        if isinstance(error, OutcomeUnknown) and not wrote:
            raise StorageUnavailable from error.__cause__
        # One exception each: they get tracebacks of their threads.
        raise type(error)(error.detail) from error.__cause__

    def _conclude(self, error: SongsError | None) -> None:
        if not self._concluded:
            self._concluded, self._error = True, error
            for place in self._waiting:
                place.release()

    def _withdraw(self) -> bool:
        """Have the group fail; return False where its commit has begun, or it is concluded."""
        with self._guard:
            if self._committing or self._concluded:
                return False
            self._conclude(TransientConflict())
            return True
