"""A bulkhead: caps concurrent calls and fails fast when the callee has stalled."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from songs.errors import Overloaded
from songs.ports.clock import Clock, Deadline

STALLED_S: Final = 0.25
"""When all slots are taken and none has changed hands for this time, the callee counts as stalled."""


class Waiters:
    """Counts the threads that wait for slots of one callee. Thread-safe.

    Args:
        most: Returns the number of threads that may wait while the callee stalls.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0

    def join(self) -> None:
        """Wait from now on."""
        with self._lock:
            self._count += 1

    def leave(self) -> None:
        """Wait no longer."""
        with self._lock:
            self._count -= 1

    def leave_if_too_many(self) -> bool:
        """Wait no longer, if more wait than may; return whether that is so. Of many at once, only the excess leaves."""
        with self._lock:
            too_many = self._count > self._most()
            self._count -= too_many
        return too_many


class Bulkhead:
    """A number of slots for calls. Thread-safe.

    A caller without a free slot waits, up to its deadline, while slots change hands. While none does, some callers go
    on waiting, as a stall may end, and the others are refused: too many would tie up every thread. While the callee is
    known to hang, all callers are refused at once.

    Args:
        clock: Measures the time since a slot last changed hands.
        count: The number of slots.
        waiters: Counts the threads waiting for these slots and for others of the same callee.
    """

    def __init__(self, clock: Clock, count: int, waiters: Waiters) -> None:
        self._clock = clock
        self._count = count
        self._waiters = waiters
        self.hangs = False
        """Whether the last call that ended ran into its deadline; set by the caller."""
        # A queue of free slots costs a fifth of what a semaphore does, and serves those that wait in their order.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        # That a slot was taken says enough: one that is given back while others wait is taken at once.
        self._taken_at_s = clock.monotonic_s()

    @property
    def taken(self) -> int:
        """The number of slots that are taken now."""
        return self._count - self._free.qsize()

    def take(self, deadline: Deadline) -> None:
        """Take a slot; the caller must give it back in any case.

        Raises:
            Overloaded: No slot came free in time, or none will soon.
        """
        try:
            self._free.get_nowait()
        except Empty:
            self._wait(deadline)
        self._taken_at_s = self._clock.monotonic_s()

    def give(self) -> None:
        """Give a slot back."""
        self._free.put(None)

    def _wait(self, deadline: Deadline) -> None:
        self._waiters.join()
        waiting = True
        try:
            while True:
                stalls_in_s = self._taken_at_s + STALLED_S - self._clock.monotonic_s()
                if stalls_in_s <= 0:
                    waiting = not self._waiters.leave_if_too_many()
                    if self.hangs or not waiting:
                        raise Overloaded
                wait_s = stalls_in_s if stalls_in_s > 0 else STALLED_S
                remaining_s = deadline.remaining_s()
                try:
                    self._free.get(timeout=max(0.0, min(wait_s, remaining_s)))
                except Empty:
                    if remaining_s <= wait_s:
                        raise Overloaded from None
                else:
                    return
        finally:
            if waiting:
                self._waiters.leave()
