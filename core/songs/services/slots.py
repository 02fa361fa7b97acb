"""A bound on how many threads do something at once, which does not tie up those that wait for what hangs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from songs.deadline import Deadline
from songs.errors import Overloaded
from songs.ports.clock import Clock

STALLED_S: Final = 0.25
"""When every slot is taken and none changed hands for so long, what they are taken for hangs."""


class Slots:
    """A number of slots. Thread-safe.

    Who finds none free waits while slots change hands, and is refused at once while none does: waiting for what hangs
    would only tie up one more thread.

    Args:
        clock: Tells how long no slot changed hands.
        count: How many there are.
    """

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock = clock
        self._free = threading.BoundedSemaphore(count)
        self._moved_at_s = clock.monotonic_s()

    @contextmanager
    def one(self, deadline: Deadline) -> Iterator[None]:
        """Hold a slot for the length of the block.

        Raises:
            Overloaded: None came free in time, or none will soon.
        """
        if not self._free.acquire(blocking=False):
            self._wait(deadline)
        self._moved_at_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self._moved_at_s = self._clock.monotonic_s()
            self._free.release()

    def _wait(self, deadline: Deadline) -> None:
        while True:
            patience_s = self._moved_at_s + STALLED_S - self._clock.monotonic_s()
            remaining_s = deadline.remaining_s()
            if self._free.acquire(timeout=max(0.0, min(patience_s, remaining_s))):
                return
            if patience_s <= 0 or remaining_s <= patience_s:
                raise Overloaded
