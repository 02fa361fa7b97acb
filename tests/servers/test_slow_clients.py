"""Clients that send slowly, or nothing, or not to the end: others are served, and what they hold is taken back."""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.running import Running, free_port

from .conftest import command_of
from .raw import REGISTER, answer, connect, half_body, head, is_closed, registration

pytestmark = pytest.mark.server

SERVERS = pytest.mark.parametrize("server", ["granian", "gunicorn"])
SLOW = 64
MANY = 300
SOON_S = 5.0
"""Far more than an answer takes, and less than a thread would be held if a slow client could hold it."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes connections after the test."""
    with ExitStack() as stack:
        yield stack


def _open(stack: ExitStack, port: int, sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    connection = stack.enter_context(connect(port, source))
    connection.sendall(sent)
    return connection


def _ask(port: int, request: bytes, source: str = "127.0.0.1") -> int:
    """Return the status of the answer to a request, which must come soon."""
    with connect(port, source) as connection:
        connection.settimeout(SOON_S)
        connection.sendall(request)
        return answer(connection)[0]


def _register(port: int, name: str, source: str) -> int:
    """Make an account, and try again a few times where that is the answer: for less time than a half body may take."""
    for _ in range(4):
        status = _ask(port, registration(name), source)
        if status != 503:
            return status
        time.sleep(0.5)
    return _ask(port, registration(name), source)


@SERVERS
def test_slow_heads_and_bodies_leave_others_free(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """64 half-sent heads and 64 half-sent bodies at once, with the threads of the default: others are answered."""
    running = start(server)
    for half in [head("POST", REGISTER)[:-2], half_body()] * SLOW:
        _open(stack, running.port, half)

    for path, status in [("/api/v1/health", 200), ("/api/v1/songs", 401), ("/api/v1/health/ready", 200)]:
        assert running.get(path, timeout_s=SOON_S)[0] == status


@SERVERS
def test_silent_connections_leave_others_free(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """300 connections that send nothing, and 300 that stop in the middle of a head: the next one is served."""
    running = start(server, SONGS_THREADS="4")
    silent = [_open(stack, running.port) for _ in range(MANY)]
    assert running.get(timeout_s=SOON_S)[0] == 200
    half = [_open(stack, running.port, b"GET /api/v1/health HT") for _ in range(MANY)]
    assert running.get(timeout_s=SOON_S)[0] == 200

    assert all(is_closed(connection) for connection in silent + half)


@SERVERS
def test_a_head_that_is_dribbled_is_cut_off(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """A byte now and then gives no head more time than it has."""
    running = start(server, SONGS_THREADS="4")
    connection = _open(stack, running.port, b"GET /api/v1/health HTTP/1.1\r\nX-Slow: ")
    closed = threading.Event()

    def dribble() -> None:
        try:
            while not closed.wait(0.2):
                connection.sendall(b"x")
        except OSError:
            return

    dribbler = threading.Thread(target=dribble)
    dribbler.start()
    try:
        assert is_closed(connection, 20.0)
    finally:
        closed.set()
        dribbler.join()


@SERVERS
def test_clients_that_do_not_close_leave_others_free(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """Whoever asks for a connection to be closed, and keeps its own end open, holds up nobody."""
    running = start(server, SONGS_THREADS="4")
    request = head("GET", "/api/v1/health", "Connection: close")
    for _ in range(SLOW):
        _open(stack, running.port, request)

    assert running.get(timeout_s=SOON_S)[0] == 200


@SERVERS
def test_half_bodies_leave_bodies_of_others_free(start: Callable[..., Any], server: str) -> None:
    """40 bodies that do not come from one address, without a token: accounts are made from there and elsewhere."""
    running = start(server)
    for number, path in enumerate(["register", "login", "refresh", "logout"], 1):
        # From addresses of which the server knows nothing.
        sources = [f"127.0.{number}.{n}" for n in (1, 2, 3)]
        with ExitStack() as stack:
            for _ in range(40):
                _open(stack, running.port, half_body(f"/api/v1/auth/{path}"), sources[0])

            made = [_register(running.port, f"{path}{n}", source) for n, source in enumerate(sources * 2)]
        assert made == [201] * 6, path


@SERVERS
def test_half_bodies_from_everywhere_leave_bodies_free(
    start: Callable[..., Any], stack: ExitStack, server: str
) -> None:
    """The same from 32 addresses, that each hold one slot at the most."""
    running = start(server)
    for n in range(32):
        _open(stack, running.port, half_body(), source=f"127.0.1.{n + 1}")

    assert [_register(running.port, f"user{n}", "127.0.2.1") for n in range(4)] == [201] * 4


@SERVERS
def test_clients_that_read_nothing_leave_others_free(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """More clients than there are threads ask for the largest file and read none of it: the next one is served."""
    running = start(server, SONGS_THREADS="4", SONGS_WORKERS="1")
    request = head("GET", "/docs/swagger-ui-bundle.js")
    for n in range(5):
        connection = stack.enter_context(socket.socket())
        # Before it connects, so that the window which it offers stays small.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((f"127.0.0.{n + 2}", 0))
        connection.settimeout(SOON_S)
        connection.connect(("127.0.0.1", running.port))
        # The system takes up to 4 MB for a connection that reads nothing.
        connection.sendall(request * 5)

    # The first of these may come before all threads are held.
    assert {running.get(timeout_s=120.0)[0] for _ in range(50)} == {200}


HALF = {
    "a length": half_body(),
    "nothing of it": head("POST", REGISTER, "Content-Type: application/json", "Content-Length: 99"),
    "a length that lies": head("POST", REGISTER, "Content-Type: application/json", "Content-Length: 9") + b"{}",
    "half a chunk": head("POST", REGISTER, "Content-Type: application/json", "Transfer-Encoding: chunked") + b"9\r\n{",
    "no last chunk": head("POST", REGISTER, "Content-Type: application/json", "Transfer-Encoding: chunked")
    + b"1\r\n{\r\n",
    "an expectation": head(
        "POST", REGISTER, "Content-Type: application/json", "Content-Length: 99", "Expect: 100-continue"
    ),
    "a connection that was kept": registration("walter") + half_body(),
}


@SERVERS
def test_a_body_has_a_total_time(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """However it is announced: its connection is closed when that is over, and its thread and slot are free again."""
    running = start(server, SONGS_THREADS="4", SONGS_BODY_TIMEOUT_S="1")
    for name, half in HALF.items():  # more than there are threads; there is one slot for clients without a token
        connection = _open(stack, running.port, half)
        assert is_closed(connection, 15.0), name

    assert _ask(running.port, registration("ada")) == 201


@SERVERS
def test_a_body_that_is_dribbled_has_a_total_time(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """A byte now and then gives no body more time than it has, and its client may read why: 408, or nothing."""
    running = start(server, SONGS_THREADS="4", SONGS_BODY_TIMEOUT_S="1")
    connection = _open(stack, running.port, half_body())
    ends_s, sent = time.monotonic() + 20.0, 0
    try:
        while time.monotonic() < ends_s:
            connection.sendall(b"a")
            sent += 1
            time.sleep(0.25)
            if sent > 60:
                break
    except ConnectionError:
        pass
    status, headers, _ = answer(connection)

    assert sent < 60
    assert status in {0, 408}
    assert status == 0 or (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")


@SERVERS
def test_bodies_that_are_too_slow_are_told_so(start: Callable[..., Any], stack: ExitStack, server: str) -> None:
    """Of ten at least one is told before its connection is closed: that no answer is lost cannot be promised."""
    running = start(server, SONGS_BODY_TIMEOUT_S="1")
    halves = [_open(stack, running.port, half_body()) for _ in range(10)]
    answers = [answer(connection) for connection in halves]

    told = [(headers["content-type"], b'"code":"body_timeout"' in body) for status, headers, body in answers if status]
    assert {status for status, _, _ in answers} <= {0, 408, 503}
    assert ("application/problem+json", True) in told


@SERVERS
def test_whole_bodies_one_after_another_keep_their_connection(
    start: Callable[..., Any], stack: ExitStack, server: str
) -> None:
    """A body that was received in time leaves its connection as it was, also after pieces and a pause."""
    running = start(server, SONGS_BODY_TIMEOUT_S="30")
    connection = _open(stack, running.port)
    for n in range(3):
        request = registration(f"user{n}")
        connection.sendall(request[:-10])
        time.sleep(0.1)
        connection.sendall(request[-10:])
        status, headers, _ = answer(connection)
        assert (status, headers.get("connection")) == (201, None if server == "granian" else "keep-alive")


@SERVERS
def test_more_connections_than_files_may_be_open(tmp_path: Path, stack: ExitStack, server: str) -> None:
    """Those beyond wait until others are closed; the worker is still the same one then, and answers."""
    limited = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    command = [sys.executable, "-c", limited + "os.execv(sys.argv[1], sys.argv[1:])", *command_of(server)]
    running = Running.start(command, tmp_path, free_port(), {})
    stack.callback(running.stop)
    running.wait_until_it_answers()
    silent = [_open(stack, running.port) for _ in range(200)]

    assert all(is_closed(connection) for connection in silent)
    assert running.get(timeout_s=30.0)[0] == 200
    assert running.children() == running.workers
