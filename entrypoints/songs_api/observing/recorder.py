"""Everything that one process tells of itself, and the thread that tells it."""

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

from songs.meter import UNMETERED, Meter
from songs.ports.clock import Clock
from songs_api.observing.events import Render
from songs_api.observing.lines import Lines, LinesHandler
from songs_api.observing.requests import RequestLog

if TYPE_CHECKING:
    # Imported where metrics are wanted only: importing it decides where they are kept.
    from songs_api.observing.metrics import Metrics

EVERY_S: Final = 0.25


class Recorder:
    """Takes what is to be told, and tells it from a thread of its own. Thread-safe.

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
        self._lines = Lines(render, stream or sys.stderr)
        self.requests = RequestLog(self._lines, metrics, clock, level)
        self._telling = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def meter(self) -> Meter:
        """What services tell."""
        return UNMETERED if self.metrics is None else self.metrics

    def start(self) -> None:
        """Tell from now on what Python's logging is told as well, four times a second. Called after any fork."""
        logging.basicConfig(level=self.level, handlers=[LinesHandler(self._lines)], force=True)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left, and end the thread. Calling it again does nothing."""
        self._stopped.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self.tell()

    def tell(self) -> None:
        """Tell at once what was taken so far."""
        with self._telling:
            if self.metrics is not None:
                self.metrics.collect()
            self.requests.tell()
            self._lines.write()

    def exposition(self) -> bytes:
        """Return all metrics up to now in Prometheus' text form; empty where none are kept."""
        self.tell()
        return b"" if self.metrics is None else self.metrics.exposition()

    def _run(self) -> None:
        parent = os.getpid()
        while not self._stopped.wait(EVERY_S) and os.getpid() == parent:
            self.tell()
