"""A bound on how many threads do something at once, which does not tie up those that wait for what hangs."""

from queue import Empty, SimpleQueue
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
        # A queue of free slots costs a fifth of what a semaphore does, and serves those that wait in their order.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        # That a slot was taken says enough: one that is given back while others wait is taken at once.
        self._taken_at_s = clock.monotonic_s()

    def take(self, deadline: Deadline) -> None:
        """Take a slot; it is to be given back, whatever happens.

        Raises:
            Overloaded: None came free in time, or none will soon.
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
        while True:
            patience_s = self._taken_at_s + STALLED_S - self._clock.monotonic_s()
            remaining_s = deadline.remaining_s()
            try:
                self._free.get(timeout=max(0.0, min(patience_s, remaining_s)))
            except Empty:
                if patience_s <= 0 or remaining_s <= patience_s:
                    raise Overloaded from None
            else:
                return
