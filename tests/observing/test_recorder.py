"""What a process tells goes on being told when nobody reads its log."""

import io
import logging
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from songs.errors import Overloaded
from songs_api.telemetry import logs as module
from songs_api.telemetry import metrics as metrics_module
from songs_api.telemetry import requests as requests_module
from songs_api.telemetry import telemetry as recorder_module
from songs_api.telemetry.logs import json_line
from songs_api.telemetry.metrics import Metrics
from songs_api.telemetry.requests import Finished
from songs_api.telemetry.telemetry import Telemetry
from songs_contract.harness.timing import eventually
from songs_system.system import SystemClock

PATIENCE_S = 30.0

NOTHING_ELSE: dict[str, Any] = {
    "code": None,
    "user_id": None,
    "address": None,
    "target": None,
    "trace_id": None,
    "started_s": 0.0,
    "ended_s": 1.0,
}


class _Stuck(io.StringIO):
    """A pipe that is full, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.let_go.wait()
        return super().write(text)


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_as_before")
def test_a_log_that_nobody_reads_stops_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are counted while a line is stuck; what waits to be written is bounded, and what is left out is told."""
    stream = _Stuck()
    telemetry = Telemetry(json_line, SystemClock(), level=logging.INFO, metrics=Metrics(), stream=stream)
    telemetry.start()
    logging.getLogger("test").warning("stuck")
    assert stream.reached.wait(PATIENCE_S)
    # Room for three lines: one has 190 characters and what a line takes besides.
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 3 * 300 + 100)

    for number in range(10):
        telemetry.requests.note(Finished(f"r{number}", "GET", None, audited=True, status=401, **NOTHING_ELSE))
    told = telemetry.exposition().decode()
    stream.let_go.set()
    telemetry.stop()

    assert 'songs_request_duration_seconds_count{method="GET",route="none",status="401"} 10.0' in told
    assert stream.getvalue().count('"audit"') == 3
    assert '"dropped":7' in stream.getvalue()


class _Failing(Metrics):
    """Metrics that cannot be counted, until they can."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = True
        self.collected = threading.Event()

    def collect(self) -> None:
        """Fail, or count."""
        if self.fails:
            raise MemoryError
        super().collect()
        self.collected.set()


@pytest.mark.usefixtures("_logging_as_before")
def test_what_fails_ends_no_thread() -> None:
    """An exception of any kind is told once in a while, and counting goes on when it can."""
    stream = io.StringIO()
    metrics = _Failing()
    telemetry = Telemetry(json_line, SystemClock(), level=logging.INFO, metrics=metrics, stream=stream)
    telemetry.start()
    eventually(lambda: "MemoryError" in stream.getvalue(), within_s=PATIENCE_S)
    eventually(lambda: telemetry._failures > 2, within_s=PATIENCE_S)

    metrics.fails = False
    assert metrics.collected.wait(PATIENCE_S)
    telemetry.stop()

    assert stream.getvalue().count("telemetry failed") == 1


def test_notes_that_nobody_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the thread that counts is held, each kind of note is dropped and counted beyond a bound."""
    monkeypatch.setattr(metrics_module, "MAX_NOTED", 5)
    monkeypatch.setattr(requests_module, "MAX_FINISHED", 5)
    metrics = Metrics()
    telemetry = Telemetry(json_line, SystemClock(), level=logging.INFO, metrics=metrics, stream=io.StringIO())
    for number in range(8):
        metrics.unit("read", "ok", 1, 0.1)
        metrics.cache_read("hit")
        metrics.invalidation(done=True)
        metrics.limiter_unavailable()
        metrics.breaker("redis", is_open=True)
        telemetry.requests.note(Finished(f"r{number}", "GET", None, audited=False, status=404, **NOTHING_ELSE))

    assert all(len(queue) <= 5 for queue in vars(metrics).values() if isinstance(queue, deque))
    telemetry.emit()
    told = telemetry.exposition().decode()
    for of in ("unit", "cache_read", "invalidation", "limiter", "breaker", "request"):
        assert f'songs_observations_dropped_total{{of="{of}"}} 3.0' in told


class _Hanging(Metrics):
    """Metrics on a disk that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def exposition(self) -> bytes:
        """Hang."""
        self.reached.set()
        assert self.let_go.wait(PATIENCE_S)
        return b""


def test_a_disk_that_hangs_holds_one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others who ask for the metrics meanwhile are refused soon, and hold no thread."""
    monkeypatch.setattr(recorder_module, "EXPOSE_S", 0.01)
    metrics = _Hanging()
    telemetry = Telemetry(json_line, SystemClock(), level=logging.INFO, metrics=metrics, stream=io.StringIO())
    first = threading.Thread(target=telemetry.exposition)
    first.start()
    assert metrics.reached.wait(PATIENCE_S)

    for _ in range(3):
        with pytest.raises(Overloaded):
            telemetry.exposition()

    metrics.let_go.set()
    first.join(PATIENCE_S)


@pytest.mark.usefixtures("_logging_as_before")
def test_what_happens_beside_requests_is_told_off_their_threads() -> None:
    """Warnings, threads that fail, and exceptions that cannot be raised: as lines, not printed where they happen."""
    stream = io.StringIO()
    telemetry = Telemetry(json_line, SystemClock(), level=logging.INFO, stream=stream)
    telemetry.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("a library warns", stacklevel=1)
        failing = threading.Thread(target=_fail, name="failing")
        failing.start()
        failing.join()
        sys.unraisablehook(SimpleNamespace(err_msg="in a finalizer", exc_value=ValueError("unraisable")))
    finally:
        telemetry.stop()

    for told in ("a library warns", "the thread 'failing' failed", "in a finalizer"):
        assert told in stream.getvalue()


def _fail() -> None:
    msg = "on purpose"
    raise RuntimeError(msg)
