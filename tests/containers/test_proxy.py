"""The proxy in front of the running service: its own errors, its limits, what it passes on and what it logs."""

import json
import re
import socket
import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from tests.containers.stack import PREFIX, Stack, ask, docker

pytestmark = [pytest.mark.thorough, pytest.mark.server, pytest.mark.timeout(1800)]

SONG = {"artist": "Queen", "title": "Bohemian Rhapsody", "difficulty": 14.6, "level": 13, "released": "1975-10-31"}
HEAD = b"Host: songs\r\nConnection: close\r\n"
SHAPES = {
    "target that is too long": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "header that is too long": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n"),
    "headers that are too long": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"X: %s\r\n" % (b"a" * 7000) * 5 + b"\r\n"),
    "too many headers": (431, b"GET / HTTP/1.1\r\n" + HEAD + b"".join(b"X%d: a\r\n" % n for n in range(150)) + b"\r\n"),
    "NUL in the path": (400, b"GET /%00 HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "target that is not ASCII": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "path above the root": (400, b"GET /../x HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    "TRACE": (405, b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n"),
    "version": (505, b"GET / HTTP/3.7\r\n" + HEAD + b"\r\n"),
    "two lengths": (400, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    "transfer encoding": (501, b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip\r\n\r\n"),
    "body that is too large for nginx": (413, b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 2000000\r\n\r\n"),
    "chunk that is none": (
        400,
        b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ),
}


def _raw(port: int, *services: bytes, pause_s: float = 0.0) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 60) as peer:
        for part in services:
            peer.sendall(part)
            time.sleep(pause_s)
        peer.shutdown(socket.SHUT_WR) if not services else None
        received = bytearray()
        try:
            while chunk := peer.recv(65_536):
                received += chunk
        except ConnectionResetError:
            pass
    return bytes(received)


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_of_the_proxy_are_problems(stack: Stack, shape: str) -> None:
    """What nginx, or the service's server, refuses before the service sees it is like what the service refuses."""
    status, request = SHAPES[shape]

    head, _, body = _raw(stack.port, request).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d" % status), (head, body)
    assert b"content-type: application/problem+json" in head.lower(), head
    problem = json.loads(body)
    assert problem["status"] == status
    assert f"X-Request-ID: {problem['instance'].removeprefix('urn:songs:request:')}".encode() in head


@pytest.mark.parametrize("size", [90_000, 100_001, 1_048_576, 3_000_000])
def test_the_service_decides_on_bodies(stack: Stack, size: int) -> None:
    """Up to its own limit a body reaches it, and beyond the answer is the same problem, whoever gives it."""
    client = stack.sign_in("ada")
    answer = client.ask("POST", f"{PREFIX}/songs", "x" * size)

    assert (answer.status, answer.fault()) == (422 if size < 100_000 else 413, "")


def test_slow_bodies_hold_nobody(stack: Stack) -> None:
    """Connections that send nothing more keep no thread of the service, and are closed: others are answered at once."""
    head = (
        b"POST /api/v1/auth/login HTTP/1.1\r\n"
        + HEAD
        + b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    held = [socket.create_connection(("127.0.0.1", stack.port), 60) for _ in range(200)]
    for peer in held:
        peer.sendall(head)
    answer = ask(stack.port, "GET", f"{PREFIX}/health")
    for peer in held:
        with suppress(ConnectionResetError):
            assert peer.recv(65_536) == b""
        peer.close()

    assert answer.status == 200


def test_the_longest_links_arrive(stack: Stack) -> None:
    """A filter as long as a target may be makes a response head of four links of that length, which passes."""
    client = stack.sign_in("ada")
    artist = "\U0001d11e" * 670
    for title in range(45):
        added = client.ask("POST", f"{PREFIX}/songs", {**SONG, "artist": artist, "title": str(title)})
        assert added.status in {201, 409}, added.body

    answer = client.ask("GET", f"{PREFIX}/songs?page_size=20&page=2&artist={quote(artist)}")

    assert answer.status == 200, answer.body
    assert len(answer.headers["Link"]) > 4 * 8000
    assert answer.json["pagination"]["page"] == 2


def test_paths_are_passed_on_as_they_came(stack: Stack) -> None:
    """The proxy neither decodes nor tidies a path, whatever the method: the service and it see the same."""
    client = stack.sign_in("ada")
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("/api/v1/songs%2Fx", "//api/v1/songs", "/api/v1/../v1/songs", "/.problem"):
            answer = client.ask(method, path)
            assert (answer.status, answer.fault()) in {(404, ""), (405, ""), (411, ""), (428, "")}, (
                method,
                path,
                answer.body,
            )


def test_logs_name_nobody(stack: Stack) -> None:
    """Neither the proxy nor the service logs an address, a path as it came or a query about what was served."""
    marks = [f"mark{number}" for number in range(4)]
    client = stack.client()
    client.ask("GET", f"/{marks[0]}?{marks[1]}=1", X_Forwarded_For="203.0.113.7")
    _raw(stack.port, f"GET /{marks[2]}%00?{marks[3]}=1 HTTP/1.1\r\n".encode() + HEAD + b"\r\n")
    docker("pause", stack.ids("api")[0])
    try:
        client.ask("GET", f"/{marks[0]}?{marks[1]}=2")
    finally:
        docker("unpause", stack.ids("api")[0])
    stack.wait()

    proxy = docker("logs", stack.ids("proxy")[0])
    everything = stack.compose("logs")

    assert [mark for mark in marks if mark in everything] == []
    assert re.findall(r"\d+\.\d+\.\d+\.\d+", proxy) == []
    lines = [json.loads(line) for line in proxy.splitlines()]
    assert {line["status"] for line in lines} >= {400, 503}
    assert all(line["event"] == "proxy" for line in lines)
