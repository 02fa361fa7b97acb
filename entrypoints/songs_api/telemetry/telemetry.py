"""Logs and metrics of one process, and the threads that emit them."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from songs.errors import Overloaded
from songs.ports.clock import Clock
from songs.ports.meter import UNMETERED, Meter
from songs_api.telemetry.logs import EVERY_S, MAX_TEXT, STOP_S, LinesHandler, LogBuffer, Render, timestamp
from songs_api.telemetry.requests import RequestLog

if TYPE_CHECKING:
    from songs_api.telemetry.metrics import Metrics

PUBLISH_EVERY_S: Final = 1.0
EXPOSE_S: Final = 1.0
"""The time that a reading of the metrics waits for another one: a disk that hangs holds one thread."""
FAILURE_EVERY_S: Final = 60.0
"""The minimum interval between messages about failures of the telemetry."""
_log: Final = logging.getLogger(__name__)


class Telemetry:
    """Buffers log events and metrics; background threads emit them. Thread-safe.

    One thread counts and renders events, another writes lines, and a third writes metrics for other processes. So a
    stream or a disk that hangs holds its own thread alone: the buffers are bounded, and the others go on. An error in
    one of the threads is logged and ends none.

    Args:
        render: Renders events as lines.
        clock: The clock by which requests are timed.
        level: The minimum level that is logged, of `logging`.
        metrics: The metrics; None if they are off.
        stream: The stream for lines; standard error by default.
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
        self._lines = LogBuffer(render, stream)
        self.requests = RequestLog(self._lines, metrics, clock, level)
        self._collecting = threading.Lock()
        self._exposing = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._hooks: tuple[Any, Any] | None = None
        self._failures = 0
        self._failure_told_at_s: float | None = None

    @property
    def meter(self) -> Meter:
        """The meter for the services."""
        return UNMETERED if self.metrics is None else self.metrics

    def audit(self, action: str, **members: object) -> None:
        """Buffer an audit line that is not about a request."""
        at = timestamp(self._clock.now().timestamp())
        self._lines.put({"timestamp": at, "level": "info", "event": "audit", "action": action, **members})

    def start(self) -> None:
        """Start the threads, and log Python's logging, warnings and thread errors from now on. Called after any fork.

        Otherwise these would be printed by their own thread, which may be answering a request.
        """
        logging.basicConfig(level=self.level, handlers=[LinesHandler(self._lines)], force=True)
        logging.captureWarnings(capture=True)
        self._hooks = threading.excepthook, sys.unraisablehook
        threading.excepthook = _tell_failed_thread
        sys.unraisablehook = _tell_unraisable
        self._lines.start()
        self._start("telemetry", self._collect, EVERY_S)
        if self.metrics is not None:
            self._start("metrics", self._publish, PUBLISH_EVERY_S)

    def stop(self) -> None:
        """Tell what is left, unless that takes long, and end the threads. Calling it again does nothing."""
        if self._hooks is not None:
            threading.excepthook, sys.unraisablehook = self._hooks
            self._hooks = None
            logging.captureWarnings(capture=False)
        self._stopped.set()
        for thread in self._threads:
            thread.join(STOP_S)
        if not any(thread.is_alive() for thread in self._threads):
            self._guarded(self._collect)
            if self._threads:
                self._guarded(self._publish)
            self._guarded(self.requests.close)
        self._threads.clear()
        self._lines.stop()

    def emit(self) -> None:
        """Emit everything that was buffered so far, at once."""
        self._collect()
        self._lines.write()

    def exposition(self) -> bytes:
        """Return all metrics up to now in Prometheus' text form; empty where none are kept.

        Raises:
            Overloaded: Another reading hangs.
        """
        if self.metrics is None:
            return b""
        if not self._exposing.acquire(timeout=EXPOSE_S):
            raise Overloaded
        try:
            self._collect()
            return self.metrics.exposition()
        finally:
            self._exposing.release()

    def _collect(self) -> None:
        with self._collecting:
            if self.metrics is not None:
                self.metrics.collect()
            self.requests.emit()

    def _publish(self) -> None:
        if self.metrics is not None:
            self.metrics.publish()

    def _start(self, name: str, work: Callable[[], None], every_s: float) -> None:
        self._threads.append(threading.Thread(target=self._run, args=(work, every_s), name=name, daemon=True))
        self._threads[-1].start()

    def _run(self, work: Callable[[], None], every_s: float) -> None:
        process = os.getpid()
        while not self._stopped.wait(every_s) and os.getpid() == process:
            self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - nothing that observes may end
            self._failures += 1
            now_s = self._clock.monotonic_s()
            if self._failure_told_at_s is None or now_s - self._failure_told_at_s >= FAILURE_EVERY_S:
                self._failure_told_at_s = now_s
                self._lines.put(
                    {
                        "timestamp": timestamp(self._clock.now().timestamp()),
                        "level": "error",
                        "event": "telemetry failed",
                        "failures": self._failures,
                        "exception": traceback.format_exc()[-MAX_TEXT:],
                    }
                )


def _tell_failed_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit or failed.exc_value is None:
        return
    name = failed.thread.name if failed.thread is not None else "unknown"
    _log.error("the thread %r failed", name, exc_info=failed.exc_value)


def _tell_unraisable(failed: Any) -> None:  # noqa: ANN401 - typed where types are checked only
    _log.error("%s", failed.err_msg or "an exception could not be raised", exc_info=failed.exc_value)
