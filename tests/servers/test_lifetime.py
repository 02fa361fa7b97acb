"""Servers begin, end and fail as operators expect."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.server

IN_FLIGHT = 50
PATIENCE_S = 20.0


def _until(condition: Callable[[], object]) -> bool:
    ends_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
def test_sigterm_loses_no_request_in_flight(start: Callable[..., Any], server: str, tmp_path: Path) -> None:
    """50 requests that were begun are answered after the signal, and the status is 0."""
    running = start(f"{server}-program", SONGS_THREADS=str(IN_FLIGHT + 4))
    with ThreadPoolExecutor(IN_FLIGHT) as clients:
        answers = [clients.submit(running.get, "/held", timeout_s=30) for _ in range(IN_FLIGHT)]
        assert _until(lambda: running.get("/")[1] == str(IN_FLIGHT).encode())

        running.process.send_signal(signal.SIGTERM)
        # The signal must have arrived while all of them were held.
        assert _until(lambda: "hutting down" in running.log.read_text() or "Handling signal" in running.log.read_text())
        (tmp_path / "release").touch()

        assert [answer.result() for answer in answers] == [(200, b"released")] * IN_FLIGHT
    assert running.process.wait(30) == 0


@pytest.mark.parametrize("kind", ["granian", "gunicorn", "gunicorn-alone"])
def test_workers_end_with_the_main_process(start: Callable[..., Any], kind: str) -> None:
    """A main process that is killed leaves no worker that goes on serving."""
    running = start(kind)
    assert running.workers

    running.process.kill()
    running.process.wait(10)

    assert _until(lambda: not any(_is_alive(pid) for pid in running.workers))
    with pytest.raises(ConnectionError):
        running.get()


@pytest.mark.parametrize("kind", ["granian", "gunicorn", "gunicorn-alone"])
def test_a_worker_that_dies_is_replaced(start: Callable[..., Any], kind: str) -> None:
    """The service answers again, from another process."""
    running = start(kind)
    (worker,) = running.workers

    os.kill(worker, signal.SIGKILL)

    assert _until(lambda: worker not in running.children() and running.children())
    running.wait_until_it_answers()
    assert running.get()[0] == 200


def test_it_says_where_it_listens(start: Callable[..., Any]) -> None:
    """Once it does, and with the storage in use."""
    running = start("granian")

    assert _until(lambda: f"on http://127.0.0.1:{running.port} (granian, 1 process)" in running.log.read_text())
    assert "storage memory" in running.log.read_text()
