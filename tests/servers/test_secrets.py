"""Passwords, tokens and secrets: none is in what a server prints, or in what it answers."""

import http.client
import json
import signal
import socket
from typing import Any

import pytest
from tests.running import SECRET, Running

from .conftest import Start

pytestmark = pytest.mark.server

METRICS_TOKEN = "what-the-metrics-are-read-with-8b12"
PASSWORDS = ("the first long phrase 1f4c", "the second long phrase 9a70", "a guess that is wrong 77e2")
GARBAGE = ("a-token-that-is-none-3d5b", "another-one-in-the-query-c012", "one-in-a-broken-body-4e8f")


class _Client:
    """Sends requests, and keeps what was submitted and what was answered."""

    def __init__(self, running: Running) -> None:
        self._port = running.port
        self.submitted = running.submitted
        self.submitted.note([*GARBAGE], secret=True)
        self.repeated: list[str] = []

    def call(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Any:
        sent = body if isinstance(body, str) else json.dumps(body)
        self.submitted.note(body)
        if token:
            self.submitted.note(token, secret=True)
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        self.repeated += self.submitted.found_in(text + str(response.getheaders()))
        return json.loads(text) if text.startswith("{") else {}


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_secrets_are_neither_printed_nor_answered(start: Start, kind: str) -> None:
    """Good, wrong and broken requests with everything that is secret, at the most talkative level of the log."""
    running = start(kind, SONGS_LOG_LEVEL="debug", SONGS_METRICS_TOKEN=METRICS_TOKEN)
    client = _Client(running)
    first, second, wrong = PASSWORDS
    ada = {"username": "ada", "password": first}

    client.call("POST", "/api/v1/auth/register", ada)
    client.call("POST", "/api/v1/auth/register", {"username": "bob", "password": wrong * 9})
    client.call("POST", "/api/v1/auth/login", ada | {"password": wrong})
    tokens = client.call("POST", "/api/v1/auth/login", ada)
    old, access = tokens["refresh_token"], tokens["access_token"]
    tokens = client.call("POST", "/api/v1/auth/refresh", {"refresh_token": old})
    client.call("POST", "/api/v1/auth/refresh", {"refresh_token": old})
    change = {"current_password": wrong, "new_password": second}
    client.call("POST", "/api/v1/auth/password", change, access)
    tokens = client.call("POST", "/api/v1/auth/password", change | {"current_password": first}, access)
    client.call("GET", "/api/v1/songs", token=access)
    client.call("GET", "/api/v1/songs", token=GARBAGE[0])
    client.call("GET", f"/api/v1/songs?level={GARBAGE[1]}", token=tokens["access_token"])
    client.call("GET", f"/api/v1/songs?access_token={GARBAGE[1]}")
    client.call("POST", "/api/v1/auth/login", f'{{"password": "{GARBAGE[2]}"')
    client.call("POST", "/api/v1/auth/login", f'{{"password": "{GARBAGE[2]}", "password": 1}}')
    client.call("GET", "/metrics", token=tokens["access_token"])
    client.call("GET", "/metrics", token=METRICS_TOKEN)
    client.call("DELETE", "/api/v1/users/me", {"password": wrong}, tokens["access_token"])
    client.call("POST", "/api/v1/auth/logout", {"refresh_token": tokens["refresh_token"]})
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(40)

    assert len(client.submitted.secrets) >= len(GARBAGE) + len(PASSWORDS) + 5
    assert {SECRET, METRICS_TOKEN} <= client.submitted.secrets
    assert client.repeated == []
    assert running.told() == []


BROKEN = (
    "GET / HTTP/1.1\r\nAuthorization Bearer {}\r\n\r\n",
    "GET / HTTP/1.1\r\nAuthorization : Bearer {}\r\n\r\n",
    "GET / HTTP/1.1\r\nAuthorization: Bearer {}\0\r\n\r\n",
    "GET /?access_token={} HTTP/one\r\n\r\n",
    "GET /?access_token={}\r\n\r\n",
    "{} / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nTransfer-Encoding: {}\r\n\r\n",
    "POST /api/v1/auth/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n{}\r\n",
)


@pytest.mark.parametrize("kind", ["granian", "gunicorn", "gunicorn-alone"])
def test_what_is_no_http_is_not_repeated(start: Start, kind: str) -> None:
    """Servers refuse broken requests themselves: neither their answers nor their logs quote them."""
    running = start(kind, SONGS_LOG_LEVEL="debug")
    running.submitted.note([*GARBAGE], secret=True)

    answers = [_raw(running.port, text.format(GARBAGE[0]).encode()) for text in BROKEN]
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(40)

    assert sum(answer.startswith("HTTP/1.1 4") for answer in answers) >= 4
    assert running.submitted.found_in("".join(answers)) == []
    assert running.told() == []


def _raw(port: int, request: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while part := connection.recv(65_536):
                received += part
        except ConnectionError:
            pass
    return received.decode("latin-1")
