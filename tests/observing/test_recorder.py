"""What a process tells goes on being told when nobody reads its log."""

import io
import logging
import threading
from collections.abc import Iterator

import pytest

from songs_api.observing import lines as module
from songs_api.observing.events import json_line
from songs_api.observing.metrics import Metrics
from songs_api.observing.recorder import Recorder
from songs_api.observing.requests import Finished
from songs_system.clock import SystemClock

PATIENCE_S = 30.0


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
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    stream = _Stuck()
    recorder = Recorder(json_line, SystemClock(), level=logging.INFO, metrics=Metrics(), stream=stream)
    recorder.start()
    logging.getLogger("test").warning("stuck")
    assert stream.reached.wait(PATIENCE_S)

    for number in range(10):
        recorder.requests.note(Finished(f"r{number}", "GET", None, 401, None, None, None, None, None, 0.0, 1.0))
    told = recorder.exposition().decode()
    stream.let_go.set()
    recorder.stop()

    assert 'songs_request_duration_seconds_count{method="GET",route="none",status="401"} 10.0' in told
    assert stream.getvalue().count('"audit"') == 3
    assert '"dropped":7' in stream.getvalue()
