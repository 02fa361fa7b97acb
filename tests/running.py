"""Servers as processes of their own, on free ports of loopback, in a folder of the test."""

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.forked import Forked, start
from tests.submitted import Submitted

START_S = 120.0
STOP_S = 40.0
HANGS_S = 300.0
"""How long a program may take of which nothing is expected but that it ends: a busy machine needs ten times as long."""
FIRST_PORT, WORKERS, PORTS = 10_000, 16, 1_000
_ports = itertools.count(os.getpid() * 7)  # other runs on the machine begin elsewhere
SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
SONGS = [sys.executable, "-c", "from songs_api.cli import main; main()"]


@dataclass
class Running:
    """A server's main process, the leader of a process group of its own.

    Attributes:
        process: It.
        port: Where it listens.
        log: What it and its workers print.
        submitted: What is secret among its variables, and whatever its clients note.
        processes: How many workers it has been told to start.
        workers: The processes that serve.
    """

    process: subprocess.Popen[bytes] | Forked
    port: int
    log: Path
    submitted: Submitted
    processes: int = 1
    workers: list[int] = field(default_factory=list)

    @classmethod
    def start(cls, command: list[str], folder: Path, port: int, variables: dict[str, str]) -> "Running":
        """Start a command in a folder, with these variables and `port`; what it says goes to a file there."""
        log, submitted = folder / f"log-{port}", Submitted()
        variables = environment({"SONGS_PORT": str(port), **variables})
        submitted.note_variables(variables)
        process: subprocess.Popen[bytes] | Forked
        with log.open("ab") as output:
            if command[0] == sys.executable:
                process = start(command[1:], folder, variables, said=output, complained=output)
            else:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=variables,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        return cls(process, port, log, submitted, int(variables["SONGS_WORKERS"]))

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
        """Return once a request is answered and all workers are there; fail when it ended or takes too long."""
        ends_s = time.monotonic() + START_S
        while time.monotonic() < ends_s and self.process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                self.get()
                self.workers = self.children()
                if self.processes == 1 or len(self.workers) >= self.processes:
                    return
            time.sleep(0.02)
        pytest.fail(f"the server did not start:\n{self.log.read_text()}")

    def children(self) -> list[int]:
        """Return the processes that the main process started."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def kill(self) -> None:
        """Kill the whole process group at once, as a crash of the machine would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # Its workers are nobody's children now: they have ended when nobody listens.
        ends_s = time.monotonic() + STOP_S
        while time.monotonic() < ends_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except ConnectionRefusedError:
                return
            except OSError:
                continue
            time.sleep(0.01)

    def told(self) -> list[str]:
        """Return the secrets that were printed: none may be, whatever a test is about."""
        return self.submitted.found_in(self.log.read_text(errors="replace"))

    def stop(self) -> None:
        """End it as its operator would; what is left after that is killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        finally:
            self.kill()


def free_port() -> int:
    """Return a port that nobody listens on, and that neither the system nor another process of this run gives away.

    The system gives connections ports from its own range, at any time: those of ours lie below. Each process that runs
    tests has `PORTS` of its own, and takes them in turn.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = FIRST_PORT + worker % WORKERS * PORTS + next(_ports) % PORTS
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def environment(changes: dict[str, str]) -> dict[str, str]:
    """Return the variables of a small, fast service in memory, with some changed."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "SONGS_STORAGE": "memory",
        "SONGS_LIMITER": "none",
        "SONGS_WORKERS": "1",  # whatever the machine has
        "SONGS_JWT_SECRET": SECRET,
        "SONGS_BCRYPT_ROUNDS": "4",
        **changes,
    }
