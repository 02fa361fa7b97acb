"""How often the driver has sent a command, and pauses between its attempts.

Within `pymongo.timeout` the driver repeats a command that failed in a retryable way until the time is used up, without
a pause: thousands of times a second, on a server that is in trouble. It offers no bound; it does report each attempt
to listeners, in the thread that makes it.
"""

import random
import threading
from collections.abc import Callable
from typing import Final

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from songs.ports.clock import Clock

FIRST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.2


class _Run(threading.local):
    """What a thread's current command has met."""

    failures = 0
    ends_at_s = float("inf")


class Attempts(CommandListener):
    """Counts the failed attempts of the command that a thread runs, and pauses before the next one. Thread-safe.

    The first repetition follows at once: it mends what is most common, a connection that was closed at the other end.
    The pauses before the others double up to `LONGEST_PAUSE_S`.

    Args:
        clock: For the pauses.
        jitter: Returns a number in 0..1: between a half and the whole of each pause is waited.
    """

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._run = _Run()

    @property
    def failures(self) -> int:
        """How many attempts have failed in a row since `begin`, in this thread."""
        return self._run.failures

    def begin(self, budget_s: float) -> None:
        """Begin a command of this thread, which has so much time."""
        self._run.failures, self._run.ends_at_s = 0, self._clock.monotonic_s() + budget_s

    def started(self, event: CommandStartedEvent) -> None:
        """Do nothing."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Note an answer; one whose write concern failed is a failure, which the driver repeats too."""
        if "writeConcernError" in event.reply or "errorLabels" in event.reply:
            self._fail()
        else:
            self._run.failures = 0

    def failed(self, event: CommandFailedEvent) -> None:
        """Note a failure."""
        self._fail()

    def _fail(self) -> None:
        run = self._run
        run.failures += 1
        if run.failures > 1:
            # Its connection stays taken for as long; there are more of them than callers.
            pause_s = min(FIRST_PAUSE_S * 2 ** min(run.failures - 2, 10), LONGEST_PAUSE_S)
            left_s = run.ends_at_s - self._clock.monotonic_s()
            self._clock.sleep(max(0.0, min(pause_s * (1 + self._jitter()) / 2, left_s)))
