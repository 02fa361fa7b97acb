"""Running units of work: retries under a deadline, a bulkhead around the storage, and actions after a commit."""

import random
from collections.abc import Callable
from typing import Final, TypeVar

from songs.application.bulkhead import Bulkhead, Waiters
from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageUnavailable,
    TransientConflict,
    Unavailable,
)
from songs.ports.clock import Clock, Deadline
from songs.ports.meter import UNMETERED, Meter
from songs.ports.storage import Scope, Storage, UnitOfWork

T = TypeVar("T")
Work = Callable[[UnitOfWork], T]

MAX_ATTEMPTS: Final = 10
FIRST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.2
OUT_OF_TIME_S: Final = 0.3
"""A call that fails with less time left than this has waited for a storage that hangs; drivers stop a little early."""


class UnitRunner:
    """Runs work in units of work of one storage. Thread-safe.

    A context manager cannot run its body again, so services pass their work as a function. It may run several times:
    create ids before it, and put side effects into `after_commit`.

    Args:
        storage: The storage of the units.
        clock: For pauses between attempts.
        max_calls: The number of units that may be open at once, half of them writing. Fewer than request threads, so
            that requests which need no storage (health) are answered while the storage hangs.
        max_held: The number of threads that may be in units or wait for one while no unit ends, for the same reason;
            defaults to `max_calls`. While units end, any number may wait.
        jitter: Returns a number in 0..1 by which each pause is multiplied.
        meter: Counts units.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        max_calls: int,
        max_held: int | None = None,
        jitter: Callable[[], float] = random.random,
        meter: Meter = UNMETERED,
    ) -> None:
        self._storage = storage
        self._clock = clock
        held = max_calls if max_held is None else max_held
        waiters = Waiters(lambda: held - self._calls.taken)
        self._calls = Bulkhead(clock, max_calls, waiters)
        # A writer that hangs keeps all other writers waiting, and must not keep readers waiting too.
        self._writes = Bulkhead(clock, max(1, max_calls // 2), waiters)
        self._jitter = jitter
        self._meter = meter

    def read(self, work: Work[T], *, deadline: Deadline) -> T:
        """Run `work` in a READ unit and return its result.

        Raises:
            Overloaded: No slot came free in time.
            SongsError: Any error of `work` or the storage.
        """
        calls = self._calls
        calls.take(deadline)
        try:
            result = self._attempts(work, Scope.READ, deadline)
            calls.hangs = False
            return result
        except SongsError as error:
            calls.hangs = _ran_out_of_time(error, deadline)
            raise
        finally:
            calls.give()

    def write(
        self,
        work: Work[T],
        *,
        deadline: Deadline,
        after_commit: Callable[[], None] | None = None,
        scope: Scope = Scope.WRITE_ONE,
    ) -> T:
        """Run `work` in a writing unit, then `after_commit`; return the result of `work`.

        `work` runs again after a `TransientConflict`, and after an `OutcomeUnknown` too: every write of the ports is
        safe to repeat. `after_commit` runs once, before this returns or raises, if anything may have been written:
        the caller must not learn of a write before the caches are invalidated.

        Raises:
            Overloaded: No slot came free in time; nothing was written.
            OutcomeUnknown: The write may have happened; the storage did not confirm it in time.
            SongsError: Any error of `work`, the storage or `after_commit`.
        """
        maybe_written = False

        def note_unknown() -> None:
            nonlocal maybe_written
            maybe_written = True

        try:
            self._writes.take(deadline)
            try:
                self._calls.take(deadline)
                try:
                    result = self._attempts(work, scope, deadline, note_unknown)
                    self._writes.hangs = False
                except SongsError as error:
                    self._writes.hangs = _ran_out_of_time(error, deadline)
                    raise
                finally:
                    self._calls.give()
            finally:
                self._writes.give()
            maybe_written = True
            return result
        finally:
            if maybe_written and after_commit is not None:
                after_commit()

    def _attempts(
        self, work: Work[T], scope: Scope, deadline: Deadline, note_unknown: Callable[[], None] = lambda: None
    ) -> T:
        metered = self._meter is not UNMETERED
        started_s = self._clock.monotonic_s() if metered else 0.0
        attempt, pause_s = 1, FIRST_PAUSE_S
        unknown: OutcomeUnknown | None = None
        outcome = "defect"
        try:
            while True:
                try:
                    with self._storage.unit_of_work(scope, deadline=deadline) as unit:
                        result = work(unit)
                    outcome = "ok"
                    return result
                except (TransientConflict, OutcomeUnknown) as error:
                    if isinstance(error, OutcomeUnknown):
                        unknown = error
                        note_unknown()
                    wait_s = pause_s * self._jitter()
                    if attempt == MAX_ATTEMPTS or deadline.remaining_s() <= wait_s:
                        # Once an outcome was unknown, a later conflict does not make it known.
                        raise unknown or error from error.__cause__
                except (StorageUnavailable, DeadlineExceeded) as error:
                    if unknown is None:
                        raise
                    raise unknown from error
                self._clock.sleep(wait_s)
                attempt, pause_s = attempt + 1, min(2 * pause_s, LONGEST_PAUSE_S)
        except SongsError as error:
            outcome = error.code
            raise
        finally:
            if metered:
                self._meter.unit(scope.name.lower(), outcome, attempt, self._clock.monotonic_s() - started_s)


def _ran_out_of_time(error: SongsError, deadline: Deadline) -> bool:
    return isinstance(error, Unavailable) and deadline.remaining_s() <= OUT_OF_TIME_S
