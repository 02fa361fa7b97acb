"""Taking turns: a lock that is handed to whoever has waited longest."""

import threading
from collections import deque


class Turns:
    """A lock with a queue. Thread-safe.

    With `threading.Lock` a thread that lets go and comes again overtakes those that wait: of several writers some then
    wait for hundreds of turns of the others, and miss their deadlines.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for the turn, up to `timeout_s` seconds; return whether it came."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            place = threading.Lock()
            place.acquire()
            self._waiting.append(place)
        try:
            came = place.acquire(timeout=timeout_s)
        except BaseException:
            if not self._left(place):
                self.end()
            raise
        # A turn that came at the last moment is a turn: nobody else would end it.
        return came or not self._left(place)

    def end(self) -> None:
        """End the turn: the next in the queue has it now."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def _left(self, place: threading.Lock) -> bool:
        """Leave the queue; return False where there is nothing to leave any more, as the turn had come."""
        with self._guard:
            if place not in self._waiting:
                return False
            self._waiting.remove(place)
            return True
