"""The circuit breaker: while a server is known not to answer, nobody waits for it."""

import threading
from typing import Final

from songs.ports.clock import Clock
from songs.ports.meter import UNMETERED, Meter

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 5.0


class Breaker:
    """Tells whether to try. Thread-safe.

    After a failure nobody is admitted for a pause; then one caller is, whose failure doubles the pause, up to
    `LONGEST_PAUSE_S`. A success lets everyone in again.

    A ticket says which pause its holder came after. The many calls that are under way when a server stops all fail;
    by their tickets they count as one failure.

    Args:
        clock: For the pauses.
        meter: Told when it opens and when it closes.
    """

    def __init__(self, clock: Clock, meter: Meter = UNMETERED) -> None:
        self._clock = clock
        self._meter = meter
        self._lock = threading.Lock()
        self._pauses = 0
        self._pause_s = FIRST_PAUSE_S
        self._closed = True
        self._trial_at_s = 0.0

    def admit(self) -> int | None:
        """Return a ticket, or None when the caller is to go without an answer."""
        if self._closed:
            return self._pauses
        with self._lock:
            now_s = self._clock.monotonic_s()
            if not self._closed:
                if now_s < self._trial_at_s:
                    return None
                # Should this trial never report, there is another one later.
                self._trial_at_s = now_s + self._pause_s
            return self._pauses

    def probe(self) -> int:
        """Return a ticket for a caller that wants to know, whatever it takes."""
        return self._pauses

    def worked(self) -> None:
        """Note that the server answered."""
        if self._closed:
            return
        with self._lock:
            if not self._closed:
                self._meter.breaker("redis", is_open=False)
            self._closed = True
            self._pause_s = FIRST_PAUSE_S

    def failed(self, ticket: int) -> None:
        """Note that the server did not answer the holder of `ticket`."""
        with self._lock:
            if ticket != self._pauses:
                return
            if not self._closed:
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            else:
                self._meter.breaker("redis", is_open=True)
            self._closed = False
            self._pauses += 1
            self._trial_at_s = self._clock.monotonic_s() + self._pause_s
