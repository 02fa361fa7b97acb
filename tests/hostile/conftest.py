"""The service as it is run, on each server and two storages, for strangers who send what they like."""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.forked import Forked, start
from tests.running import free_port
from tests.submitted import Submitted

PROGRAM = Path(__file__).parent / "program.py"
PASSWORD = "correct horse battery staple"
START_S = 120.0
API = "/api/v1"


@dataclass(frozen=True)
class Target:
    """A running service."""

    process: Forked
    port: int
    log: Path
    submitted: Submitted

    def ask(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, bytes]:
        """Return the status and the body of the answer to one request."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def token(self, username: str) -> str:
        """Return an access token of the editor or the admin."""
        status, body = self.ask("POST", f"{API}/auth/login", {"username": username, "password": PASSWORD})
        assert status == 200, body
        token: str = json.loads(body)["access_token"]
        self.submitted.note([token], secret=True)
        return token

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def resident_kib(self) -> int:
        """Return how much memory the serving processes hold."""
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers()]
        return sum(int(status.partition("VmRSS:")[2].split()[0]) for status in statuses)


Launch = Callable[[str, str], Target]


def _wait(target: Target) -> None:
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s and target.process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if target.ask("GET", f"{API}/health/ready")[0] == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"the server did not start:\n{target.log.read_text()}")


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a server over a storage, without a rate limit, and end it after the test."""
    started: list[Target] = []

    def call(server: str, storage: str) -> Target:
        port, log = free_port(), tmp_path / f"log-{len(started)}"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "SONGS_SERVER": server,
            "SONGS_PORT": str(port),
            "SONGS_STORAGE": storage,
            "SONGS_LIMITER": "none",
            "SONGS_WORKERS": "1",
            "SONGS_JWT_SECRET": "a secret of the tests, of more than 32 bytes",
            "SONGS_BCRYPT_ROUNDS": "4",
            "SONGS_ACCESS_TOKEN_TTL_S": "86400",
            "SONGS_LOG_LEVEL": "warning",
        }
        if storage == "sqlite":
            environment["SONGS_SQLITE_PATH"] = str(tmp_path / f"songs-{len(started)}.db")
        with log.open("wb") as output:
            process = start([str(PROGRAM), PASSWORD], tmp_path, environment, said=output, complained=output)
        submitted = Submitted()
        submitted.note_variables(environment)
        submitted.note([PASSWORD], secret=True)
        target = Target(process, port, log, submitted)
        started.append(target)
        _wait(target)
        return target

    yield call
    for target in started:
        target.process.send_signal(signal.SIGTERM)
        try:
            target.process.wait(60)
        finally:
            target.process.kill()
        assert target.submitted.found_in(target.log.read_text(errors="replace")) == []
