"""docker-compose.yml with deploy/sqlite.yml in a copy of the project, as an operator would run it."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Final

from tests.running import free_port

PREFIX: Final = "/api/v1"
PASSWORD: Final = "correct horse battery staple"
IMAGES: Final = ("python:3.13.7-slim-bookworm", "nginx:1.28.0-alpine", "redis:7.4.6-alpine")
COMMAND_S: Final = 600
ANSWER_S: Final = 90.0
# The engine's own networks are made of 172.17 to 172.31; this one is asked for as a whole.
_FRONTS: Final = (f"172.30.{number}" for number in range(100, 200))
# Where containers reach no registry over the engine's bridge.
_BUILD: Final = "services: {api: {build: {network: host}}}\n"


def docker(*words: str, given: str = "", check: bool = True, folder: Path | None = None) -> str:
    """Run a command of docker and return what it prints; standard error is in what a failure says."""
    done = subprocess.run(
        ["docker", *words],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def missing() -> str:
    """Return why nothing can be run here; nothing where it can."""
    if shutil.which("docker") is None:
        return "there is no docker on the PATH"
    if subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=60).returncode:
        return "no Docker engine answers"
    if subprocess.run(["docker", "compose", "version"], check=False, capture_output=True, timeout=60).returncode:
        return "docker has no Compose v2"
    absent = [name for name in IMAGES if not docker("images", "--quiet", name).strip()]
    return f"there is no image {', '.join(absent)}, and tests pull none" if absent else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    def fault(self) -> str:
        """Return what is wrong with it as an error; nothing where it is none, or a problem as they all should be."""
        if self.status < 400:
            return ""
        shown = f"{self.status} {self.headers.get('Content-Type')} {self.body[:300]!r}"
        if self.headers.get("Content-Type") != "application/problem+json":
            return f"is no problem: {shown}"
        problem = self.json
        missing = {"type", "title", "status", "detail", "code", "instance", "error"} - set(problem)
        if missing or problem["status"] != self.status:
            return f"is not like the other problems: {shown}"
        if problem["instance"] != f"urn:songs:request:{self.headers.get('X-Request-ID')}":
            return f"has another id than its header: {shown} {self.headers.get('X-Request-ID')}"
        if self.status in {429, 503} and "Retry-After" not in self.headers:
            return f"does not say when to try again: {shown}"
        return ""


class Client:
    """A client with one connection that it keeps; it belongs to one thread."""

    def __init__(self, port: int, token: str = "") -> None:
        self.token = token
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request, with headers in which `_` stands for `-`, and return what it is answered.

        Raises:
            OSError, HTTPException: It was not answered.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        self._connection = None
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return Answer(response.status, response.headers, content)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()


def ask(port: int, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """Send one request by a connection of its own; like `Client.ask`."""
    with contextlib.closing(Client(port)) as client:
        return client.ask(method, path, body, **headers)


class Stack:
    """A project of Compose with its own name, port and network.

    Args:
        source: The files of the project.
        root: Their folder.
        folder: Where a copy is made.
        variables: What is written into .env.
    """

    def __init__(self, source: list[Path], root: Path, folder: Path, **variables: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.front = next(_FRONTS)
        self._clients: list[Client] = []
        self._tokens: dict[str, str] = {}
        self.name = f"songs-test-{os.getpid()}-{self.port}"
        for path in source:
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (folder / "build.yml").write_text(_BUILD)
        settings = {
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": "docker-compose.yml:deploy/sqlite.yml:build.yml",
            "PUBLISHED_PORT": str(self.port),
            "FRONT_PREFIX": self.front,
            "IMAGE_TAG": "test",
            "SONGS_LIMITER_DEFAULT": "none",
            "SONGS_ACCESS_TOKEN_TTL_S": "86400",
            # A machine that is busy is not what is looked at.
            "SONGS_DEADLINE_S": "20",
            "SONGS_BCRYPT_ROUNDS": "10",
            **variables,
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def run(self, *words: str) -> str:
        """Run a command in the folder."""
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False, timeout=COMMAND_S)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def compose(self, *words: str, given: str = "", check: bool = True) -> str:
        """Run a command of docker compose."""
        return docker("compose", *words, given=given, check=check, folder=self.folder)

    def start(self) -> None:
        """Start it by the commands of docs/operations/containers.md."""
        self.run("deploy/make-secrets")
        self.compose("up", "--build", "--detach")
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        ends_s = time.monotonic() + 120
        while not self.answers():
            assert time.monotonic() < ends_s, self.compose("logs", "--tail", "30")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Return whether it is ready."""
        try:
            return ask(self.port, "GET", f"{PREFIX}/health/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def ids(self, service: str) -> list[str]:
        """Return the ids of the containers of a service that run."""
        return self.compose("ps", "--quiet", service).split()

    def songs(self, *words: str, given: str = "") -> str:
        """Run a command of `songs` in a container of the API."""
        return self.compose("exec", "--no-TTY", "api", "songs", *words, given=given)

    def client(self, token: str = "") -> Client:
        """Return a client, which is closed at the `end`."""
        self._clients.append(Client(self.port, token))
        return self._clients[-1]

    def sign_in(self, name: str) -> Client:
        """Return a client that is signed in as a user whose password is `PASSWORD`."""
        if name not in self._tokens:
            answer = ask(self.port, "POST", f"{PREFIX}/auth/login", {"username": name, "password": PASSWORD})
            assert answer.status == 200, answer.body
            self._tokens[name] = answer.json["access_token"]
        return self.client(self._tokens[name])

    def end(self) -> None:
        """Leave nothing behind but the image, whose layers the next run builds on."""
        for client in self._clients:
            client.close()
        self.compose("down", "--volumes", "--timeout", "5", check=False)
