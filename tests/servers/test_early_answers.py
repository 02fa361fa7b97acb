"""Answers that come before a body was read: their connection is closed and says so, or it serves the next request."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from .conftest import Default
from .raw import answer, connect, head, is_closed, registration

pytestmark = pytest.mark.server

SERVERS = pytest.mark.parametrize("server", ["granian", "gunicorn"])
BODY = b'{"username":"ada","password":"a long pass phrase"}'
JSON = "Content-Type: application/json"
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
PATH = "/api/v1/auth/"
EARLY: dict[str, tuple[int, bytes]] = {
    "no token": (401, head("POST", "/api/v1/songs", JSON, LENGTH)),
    "a path that is not served": (401, head("POST", "/api/v1/nothing", JSON, LENGTH)),
    "a token that is none": (401, head("POST", "/api/v1/songs", JSON, LENGTH, "Authorization: Bearer x")),
    "in chunks without a token": (401, head("POST", "/api/v1/songs", JSON, CHUNKED)),
    "a method that is not offered": (401, head("PUT", PATH + "login", JSON, LENGTH)),
    "another media type": (415, head("POST", PATH + "login", "Content-Type: text/plain", LENGTH)),
    "too large": (413, head("POST", PATH + "login", JSON, "Content-Length: 70000")),
    "a query that is not known": (422, head("POST", PATH + "login?x=1", JSON, LENGTH)),
    "a query that is not readable": (400, head("POST", PATH + "login?%zz", JSON, LENGTH)),
    "a GET with a body": (200, head("GET", "/api/v1/health", JSON, LENGTH)),
    "a GET with a body and without a token": (401, head("GET", "/api/v1/songs", JSON, LENGTH)),
    "a question of a browser": (401, head("OPTIONS", PATH + "login", JSON, LENGTH)),
}


def _follows(port: int, request: bytes, body: bytes, expected: int) -> None:
    """Send a head, and its body only once the answer is there; look whether the next request is served."""
    with connect(port) as connection:
        connection.sendall(request)
        status, headers, _ = answer(connection)
        assert status == expected
        if headers.get("connection", "").lower() == "close":
            assert is_closed(connection)
            return
        with suppress(ConnectionError):
            connection.sendall(body + head("GET", "/api/v1/health"))
            status, _, _ = answer(connection)
        assert status == 200, "the connection was closed, and nothing said that it would be"


@SERVERS
def test_an_early_answer_says_that_it_closes(default: Default, server: str) -> None:
    """Whatever is decided before the body came, which it does only after the answer."""
    running = default(server)
    for name, (status, request) in EARLY.items():
        body = BODY if CHUNKED.encode() not in request else b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
        _follows(running.port, request, body, status)
        print(name)  # noqa: T201 - where it failed


@SERVERS
def test_an_early_answer_to_a_whole_request_says_it_too(default: Default, server: str) -> None:
    """The same where the body came with the head: both what closes and what goes on is what was said."""
    running = default(server)
    for status, request in EARLY.values():
        body = BODY if CHUNKED.encode() not in request else b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
        _follows(running.port, request + body, b"", status)


@SERVERS
def test_other_early_answers_say_it(start: Callable[..., Any], server: str) -> None:
    """Of a role (403), a condition (428), the limit (429) and a registration that is closed (403)."""
    running = start(server, SONGS_REGISTRATION="closed", SONGS_LIMITER="memory", SONGS_LIMITER_SIGN_IN_ADDRESS="1/hour")
    _follows(running.port, head("POST", PATH + "register", JSON, LENGTH), BODY, 403)
    with connect(running.port) as connection:
        connection.sendall(head("POST", PATH + "login", JSON, LENGTH) + BODY)
        assert answer(connection)[0] == 401
    _follows(running.port, head("POST", PATH + "login", JSON, LENGTH), BODY, 429)


@SERVERS
def test_what_needs_a_role_says_it(default: Default, server: str) -> None:
    """A user's token is not an editor's."""
    running = default(server)
    with connect(running.port) as connection:
        connection.sendall(registration("ada"))
        assert answer(connection)[0] == 201
        connection.sendall(head("POST", PATH + "login", JSON, LENGTH) + BODY)
        status, headers, body = answer(connection)
        assert (status, headers.get("connection", "keep-alive").lower()) == (200, "keep-alive")
    token = f"Authorization: Bearer {json.loads(body)['access_token']}"
    running.submitted.note([token.rsplit(maxsplit=1)[-1]], secret=True)

    _follows(running.port, head("POST", "/api/v1/songs", JSON, LENGTH, token), BODY, 403)
    _follows(running.port, head("POST", "/api/v1/nothing", JSON, LENGTH, token), BODY, 404)
    _follows(running.port, head("PUT", "/api/v1/songs", JSON, LENGTH, token), BODY, 405)
    _follows(running.port, head("POST", "/api/v1/songs/ratings", "Content-Type: text/csv", LENGTH, token), BODY, 415)


@SERVERS
def test_a_large_body_that_is_refused_does_not_take_the_answer_away(default: Default, server: str) -> None:
    """A client that sends all of it before it reads still reads why it was refused."""
    running = default(server)
    body = b"x" * 60_000
    statuses = []
    for _ in range(5):
        with connect(running.port) as connection:
            connection.sendall(head("POST", "/api/v1/songs", JSON, f"Content-Length: {len(body)}") + body)
            statuses.append(answer(connection)[0])

    assert statuses == [401] * 5
