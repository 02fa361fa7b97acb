"""Turns at hashing passwords: caps concurrent hashing, and orders requests so that floods do not win."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from songs.errors import Overloaded
from songs.ports.clock import Deadline

FIRST: Final = 0
"""The rank of those who are known: they hold a token, or have signed in from where they are."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A waiting thread. `turn` is set when it gets a turn, or has lost its place to a better rank."""

    rank: int
    turn: threading.Event = field(default_factory=threading.Event)
    evicted: bool = False


class HashingTurns:
    """Turns at hashing. Thread-safe.

    Hashing is slow by design, so a client that sends more passwords than can be hashed would decide who waits.
    Therefore turns are not given in the order of arrival: the lowest rank is next, and among equals the first to come.
    When all places to wait are taken, a lower rank takes the place of the highest, which is refused. So clients that
    have tried more often, however many they are, keep nobody out. A `Bulkhead` does not serve here: it knows no
    ranks, and bounds those that wait only while its callee stalls.

    Args:
        at_once: The number of turns at the same time.
        waiting: The number of threads that may wait for one. A turn and a waiter hold a request thread each.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._lock = threading.Lock()
        self._free = at_once
        self._most = waiting
        self._waiting: list[_Waiting] = []

    @contextmanager
    def turn(self, rank: int, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn, and hold it while the context lasts.

        Args:
            rank: The number of recent attempts from the same place; `FIRST` for known places.
            deadline: The time to wait until.

        Raises:
            Overloaded: There is no place to wait, the place was lost to a better rank, or no turn came in time.
        """
        self._take(rank, deadline)
        try:
            yield
        finally:
            self._give()

    def _take(self, rank: int, deadline: Deadline) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = _Waiting(rank)
            if len(self._waiting) >= self._most:
                # The last of those with the highest rank: it came last of them.
                worst = max(reversed(self._waiting), key=lambda each: each.rank, default=mine)
                if worst.rank <= rank:
                    raise Overloaded(public="Too many passwords are being checked; try again soon.")
                self._waiting.remove(worst)
                worst.evicted = True
                worst.turn.set()
            self._waiting.append(mine)
        if not mine.turn.wait(max(0.0, min(deadline.remaining_s(), threading.TIMEOUT_MAX))):
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                    mine.evicted = True
        if mine.evicted:
            raise Overloaded(public="Too many passwords are being checked; try again soon.")

    def _give(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            following = min(self._waiting, key=lambda each: each.rank)
            self._waiting.remove(following)
            following.turn.set()
