"""Everything that one process tells of itself, and the threads that tell it."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from songs.meter import UNMETERED, Meter
from songs.ports.clock import Clock
from songs_api.observing.events import Render, timestamp
from songs_api.observing.lines import Lines, LinesHandler
from songs_api.observing.requests import RequestLog

if TYPE_CHECKING:
    # Imported where metrics are wanted only: importing it decides where they are kept.
    from songs_api.observing.metrics import Metrics

EVERY_S: Final = 0.25
STOP_S: Final = 5.0
"""How long to wait at the end for whoever reads the lines."""


class Recorder:
    """Takes what is to be told, and tells it from threads of its own. Thread-safe.

    One counts and makes events, another writes lines. So a stream that hangs holds the writer alone: what waits for it
    is bounded, and metrics are told all the same.

    Args:
        render: Makes lines of events.
        clock: The one by which requests are timed.
        level: The least level that is told, of `logging`.
        metrics: The metrics, if they are kept.
        stream: Where lines go; standard error unless given.
    """

    def __init__(
        self,
        render: Render,
        clock: Clock,
        *,
        level: int,
        metrics: "Metrics | None" = None,
        stream: TextIO | None = None,
    ) -> None:
        self.metrics = metrics
        self.level = level
        self._clock = clock
        self._lines = Lines(render, stream or sys.stderr)
        self.requests = RequestLog(self._lines, metrics, clock, level)
        self._collecting = threading.Lock()
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def meter(self) -> Meter:
        """What services tell."""
        return UNMETERED if self.metrics is None else self.metrics

    def audit(self, action: str, **told: object) -> None:
        """Take a line of the audit trail about what was no request."""
        at = timestamp(self._clock.now().timestamp())
        self._lines.put({"timestamp": at, "level": "info", "event": "audit", "action": action, **told})

    def start(self) -> None:
        """Tell from now on what Python's logging is told as well, four times a second. Called after any fork."""
        logging.basicConfig(level=self.level, handlers=[LinesHandler(self._lines)], force=True)
        for name, work in (("recorder", self._collect), ("log writer", self._write)):
            self._threads.append(threading.Thread(target=self._run, args=(work,), name=name, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Tell what is left, and end the threads. Calling it again does nothing."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(STOP_S)
        if not any(thread.is_alive() for thread in self._threads):
            self.tell()

    def tell(self) -> None:
        """Tell at once what was taken so far."""
        self._collect()
        self._write()

    def exposition(self) -> bytes:
        """Return all metrics up to now in Prometheus' text form; empty where none are kept."""
        self._collect()
        return b"" if self.metrics is None else self.metrics.exposition()

    def _collect(self) -> None:
        with self._collecting:
            if self.metrics is not None:
                self.metrics.collect()
            self.requests.tell()

    def _write(self) -> None:
        with self._writing:
            self._lines.write()

    def _run(self, work: Callable[[], None]) -> None:
        parent = os.getpid()
        while not self._stopped.wait(EVERY_S) and os.getpid() == parent:
            work()
