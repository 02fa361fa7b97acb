"""Servers as processes of their own, on free ports of loopback, in empty folders."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START_S = 30.0
SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
PROGRAM = Path(__file__).parent / "program.py"
CONSOLE = "from songs_api.cli import main; main()"


@dataclass
class Running:
    """A server's main process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    workers: list[int] = field(default_factory=list)

    def get(self, path: str = "/api/v1/health", *, timeout_s: float = 10.0) -> tuple[int, bytes]:
        """Return the status and the body of what is at `path`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def wait_until_it_answers(self) -> None:
        """Return once a request is answered; fail when the process ended or takes too long."""
        ends_s = time.monotonic() + START_S
        while time.monotonic() < ends_s and self.process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                self.get()
                self.workers = self.children()
                return
            time.sleep(0.02)
        pytest.fail(f"the server did not start:\n{self.log.read_text()}")

    def children(self) -> list[int]:
        """Return the processes that the main process started."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


def is_alive(pid: int) -> bool:
    """Return whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


Start = Callable[..., Running]
Refused = Callable[..., subprocess.CompletedProcess[str]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(changes: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "SONGS_STORAGE": "memory",
        "SONGS_LIMITER": "none",
        "SONGS_JWT_SECRET": SECRET,
        "SONGS_BCRYPT_ROUNDS": "4",
        **changes,
    }


def command_of(kind: str) -> list[str]:
    """Return how a kind of server is started: by `songs serve`, by gunicorn alone, or the program of these tests."""
    server, _, program = kind.partition("-")
    if program == "program":
        return [sys.executable, str(PROGRAM), server]
    if program == "alone":
        return [sys.executable, "-m", "gunicorn", "-c", "python:songs_api.servers.gunicorn", "songs_api.wsgi:app"]
    return [sys.executable, "-c", CONSOLE, "serve", "--server", server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a kind of server with some variables, wait until it answers, and end it after the test."""
    started: list[Running] = []

    def call(kind: str, **variables: str) -> Running:
        port = _free_port()
        log = tmp_path / f"log-{port}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command_of(kind),
                cwd=tmp_path,
                env=_environment({"SONGS_PORT": str(port), **variables}),
                stdout=output,
                stderr=output,
            )
        running = Running(process, port, log)
        started.append(running)
        running.wait_until_it_answers()
        return running

    yield call
    for running in started:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(40)
        finally:
            running.process.kill()
            for pid in running.workers:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    # Whatever a test was about: what its servers printed can be shown to anyone.
    assert [running.log for running in started if SECRET in running.log.read_text(errors="replace")] == []


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Start a kind of server that will not start, and return what it said."""

    def call(kind: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = _environment({"SONGS_PORT": str(_free_port()), **variables})
        return subprocess.run(
            command_of(kind), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    return call
