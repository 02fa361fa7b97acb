"""A service that is broken and started again, and clients of it."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from tests.forked import run
from tests.running import SONGS, Running, environment, free_port
from tests.submitted import Submitted

PREFIX = "/api/v1"
METRICS_TOKEN = "a-token-for-those-who-watch"
PASSWORD = "correct horse battery staple"
ANSWER_S = 60.0
"""How long a client waits for an answer: none may take so long, on a machine however busy."""
GONE = (OSError, http.client.HTTPException)
"""What a client sees of a service that was killed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, and how long that took."""

    status: int
    headers: Message
    body: Any
    took_s: float


class Client:
    """A client with one connection, of one service at a time; it belongs to one thread."""

    def __init__(self, port: int, submitted: Submitted, token: str = "") -> None:
        self._port = port
        self._submitted = submitted
        submitted.note([token], secret=True)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request, with headers in which `_` stands for `-`, and return what it is answered.

        Raises:
            OSError, HTTPException: It was not answered.
        """
        started_s = time.monotonic()
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self._submitted.note(body)
        if body is not None:
            sent["Content-Type"] = "application/json"
        if method in {"PUT", "PATCH", "DELETE"}:
            sent["If-Match"] = "*"
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_S)
        self._connection = None
        try:
            connection.request(method, PREFIX + path, None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        took_s = time.monotonic() - started_s
        return Answer(response.status, response.headers, json.loads(content) if content else None, took_s)

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()


class Service:
    """`songs serve` in a folder, on one port for its whole life.

    Args:
        folder: Where it runs, and logs.
        variables: Its settings.
        wrapped: A command that runs the command that follows it.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str], wrapped: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.running: Running | None = None
        self._submitted = Submitted()
        self._clients: list[Client] = []
        self._folder = folder
        self._wrapped = wrapped
        self._variables = {
            "SONGS_LIMITER_DEFAULT": "none",
            "SONGS_ACCESS_TOKEN_TTL_S": "86400",
            "SONGS_LOG_LEVEL": "error",
            **variables,
        }
        self._submitted.note_variables(environment(self._variables))

    def start(self) -> Running:
        """Start it; it may not answer yet."""
        self.running = Running.start([*self._wrapped, *SONGS, "serve"], self._folder, self.port, self._variables)
        return self.running

    def kill(self) -> None:
        """Kill all its processes at once."""
        if self.running is not None:
            self.running.kill()
            self.running = None

    def stop(self) -> None:
        """End it, if it runs."""
        if self.running is not None:
            self.running.stop()
            self.running = None

    def end(self) -> None:
        """Leave nothing behind: no process, no connection, and no secret in what was printed."""
        self.kill()
        for client in self._clients:
            client.close()
        for log in self._folder.glob(f"log-{self.port}"):
            assert self._submitted.found_in(log.read_text(errors="replace")) == []

    def connect(self, token: str = "") -> Client:
        """Return a new client, which is closed at the `end`."""
        self._clients.append(Client(self.port, self._submitted, token))
        return self._clients[-1]

    def songs(self, *words: str, told: str = "") -> None:
        """Run another command of `songs` with the same settings; fail when it fails."""
        done = run([*SONGS[1:], *words], self._folder, environment(self._variables), told=told, timeout_s=120)
        self._submitted.note([told.strip()], secret=True)
        assert done.returncode == 0, f"songs {' '.join(words)}: {done.stdout}{done.stderr}"
        assert self._submitted.found_in(done.stdout + done.stderr) == []

    def add_user(self, name: str, role: str) -> None:
        """Add a user, whose password is `PASSWORD`."""
        self.songs("users", "add", name, "--role", role, "--password-stdin", told=PASSWORD + "\n")

    def signed_in(self, name: str) -> str:
        """Return a token of a user."""
        answer = self.connect().ask("POST", "/auth/login", {"username": name, "password": PASSWORD})
        assert answer.status == 200, answer
        return str(answer.body["access_token"])
