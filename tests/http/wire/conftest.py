"""A real server for each test of this folder: the service as `songs serve` runs it, on each of its servers."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.running import free_port
from tests.submitted import Submitted

START_S = 120.0
PASSWORD = "correct horse battery staple"
SECRET = "a secret of the tests, of more than 32 bytes"


@dataclass(frozen=True)
class Answer:
    """What a server sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Wire:
    """A server's address, and two ways to talk to it."""

    host: str
    port: int
    server: str = ""

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own. An iterable body is sent in chunks."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def send(self, raw: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes and return whatever comes back before the server closes the connection."""
        with socket.create_connection((self.host, self.port), timeout=10) as connection:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while part := connection.recv(65_536):
                    received += part
            except ConnectionResetError:
                pass
            return received


def _wire(base_url: str) -> Wire:
    """Return the server at `base_url`, whose fragment names it."""
    address, _, server = base_url.removeprefix("http://").partition("#")
    host, _, port = address.partition(":")
    return Wire(host, int(port), server)


def _wait(wire: Wire, process: subprocess.Popen[bytes], log: Path) -> None:
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            if wire.call("GET", "/api/v1/health/ready").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def secrets() -> Submitted:
    """What is submitted, or signs what is."""
    secrets = Submitted()
    secrets.note([PASSWORD, SECRET], secret=True)
    return secrets


@pytest.fixture(scope="session", params=["granian", "gunicorn"])
def base_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, secrets: Submitted
) -> Iterator[str]:
    """The address of a service over an empty storage in memory, without a rate limit, of 8 threads.

    Whatever it logged by the end repeats no secret.
    """
    folder = tmp_path_factory.mktemp("wire")
    log = folder / "log"
    wire = Wire("127.0.0.1", free_port())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "SONGS_STORAGE": "memory",
        "SONGS_CACHE": "none",
        "SONGS_LIMITER": "none",
        "SONGS_THREADS": "8",
        "SONGS_JWT_SECRET": SECRET,
        "SONGS_BCRYPT_ROUNDS": "4",
    }
    command = ["serve", "--server", request.param, "--port", str(wire.port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from songs_api.cli import main; main()", *command],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            _wait(wire, process, log)
            yield f"http://{wire.host}:{wire.port}#{request.param}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()
    assert secrets.found_in(log.read_text(errors="replace")) == []


@pytest.fixture
def wire(base_url: str) -> Wire:
    """The server at `base_url`."""
    return _wire(base_url)


@pytest.fixture(scope="session")
def token(base_url: str, secrets: Submitted) -> str:
    """A user's access token."""
    server = _wire(base_url)
    account = json.dumps({"username": "wire", "password": PASSWORD})
    headers = {"Content-Type": "application/json"}
    server.call("POST", "/api/v1/auth/register", account, headers)
    signed_in: str = server.call("POST", "/api/v1/auth/login", account, headers).json["access_token"]
    secrets.note([signed_in], secret=True)
    return signed_in
