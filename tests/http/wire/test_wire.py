"""The service over real connections: what a server must hand over as it is, and what it gets wrong unless told."""

import json
import socket
import threading
from contextlib import ExitStack
from typing import Final

import pytest

from .conftest import PASSWORD, Wire

API: Final = "/api/v1"
JSON: Final = {"Content-Type": "application/json"}
LOGIN: Final = json.dumps({"username": "wire", "password": PASSWORD}).encode()
SLOW: Final = 64

pytestmark = pytest.mark.server


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _head(path: str, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _status(received: bytes) -> int:
    return int(received.split(b" ", 2)[1])


def test_a_user_can_sign_in_and_read(wire: Wire, token: str) -> None:
    """Registration, sign-in and a read work end to end."""
    result = wire.call("GET", f"{API}/songs", headers=_bearer(token))

    assert (result.status, result.json["data"]) == (200, [])
    assert int(result.headers["content-length"]) == len(result.body)
    assert result.headers["x-request-id"]


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "WEBSOCKET"]
)
@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/nothing",
        f"{API}/songs",
        f"{API}/health/",
        f"{API}/songs/../health",
        f"/{API}/health",
        f"{API}/health%2f",
    ],
)
def test_everything_is_closed_without_a_token(wire: Wire, method: str, path: str) -> None:
    """401 with a challenge whatever the method and the path, in the form in which a server hands it over."""
    result = wire.call(method, path)

    assert result.status == 401
    assert result.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "song_id",
    ["%E5%90%9B", "%ff", "%00", "..%2f..%2fhealth", "a" * 1_000, "-5", "%0d%0aX-Injected:%201", "a%20b", "%25ff"],
)
def test_any_id_is_answered(wire: Wire, token: str, song_id: str) -> None:
    """404 as problem+json for ids of every shape, after the server has decoded them."""
    result = wire.call("GET", f"{API}/songs/{song_id}", headers=_bearer(token))

    assert (result.status, result.headers["content-type"]) == (404, "application/problem+json")
    assert "x-injected" not in result.headers


@pytest.mark.parametrize(
    ("query", "status"),
    [("message=%E5%90%9B", 200), ("message=a+b", 200), ("message=%ff", 400), ("message=%00", 400), ("a=1&a=1", 400)],
)
def test_queries_arrive_as_they_were_sent(wire: Wire, token: str, query: str, status: int) -> None:
    """The query string is decoded by us alone."""
    assert wire.call("GET", f"{API}/songs/search?{query}", headers=_bearer(token)).status == status


def test_head_has_the_length_and_no_body(wire: Wire, token: str) -> None:
    """HEAD is GET without the body, over a connection that goes on."""
    get = wire.call("GET", f"{API}/songs", headers=_bearer(token))
    head = wire.call("HEAD", f"{API}/songs", headers=_bearer(token))

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(get.body)))


def test_options_has_no_body(wire: Wire, token: str) -> None:
    """204 with Allow."""
    result = wire.call("OPTIONS", f"{API}/songs", headers=_bearer(token))

    assert (result.status, result.headers["allow"], result.body) == (204, "GET, HEAD, OPTIONS, POST", b"")


def test_not_modified_has_no_body(wire: Wire, token: str) -> None:
    """304 has the tag and no body, and the connection goes on with the next answer right behind it."""
    tag = wire.call("GET", f"{API}/songs", headers=_bearer(token)).headers["etag"]
    known = f"GET {API}/songs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIf-None-Match: {tag}\r\n\r\n"

    received = wire.send(known.encode() + _head(f"{API}/health", method="GET"))
    first, _, rest = received.partition(b"\r\n\r\n")

    assert (_status(first), _status(rest)) == (304, 200)
    assert f"etag: {tag}".encode() in first
    assert b"\ncontent-type:" not in first.lower()
    assert rest.endswith(b'{"status":"healthy"}')


def test_no_version_is_told(wire: Wire) -> None:
    """No header names a version of what serves."""
    headers = wire.call("GET", f"{API}/health").headers

    assert headers.get("server", "") in {"", "granian", "gunicorn"}
    assert "x-powered-by" not in headers


def test_a_body_may_come_in_chunks(wire: Wire, token: str) -> None:
    """A chunked body is read whole."""
    result = wire.call("POST", f"{API}/auth/login", (LOGIN[i : i + 5] for i in range(0, len(LOGIN), 5)), JSON)

    assert result.status == 200


BROKEN: Final = {
    "not hexadecimal": b"3\r\nabc\r\nzz\r\n\r\n",
    "cut off in a chunk": b"ff\r\nabc",
    "cut off between chunks": b"1\r\n{\r\n",
    "nothing": b"0\r\n\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_chunked_body_is_malformed(wire: Wire, kind: str) -> None:
    """400, where one of the servers hands over what it got as if it were all."""
    head = _head(f"{API}/auth/login", "Content-Type: application/json", "Transfer-Encoding: chunked")

    received = wire.send(head + BROKEN[kind], half_close=kind.startswith("cut off"))

    assert _status(received) == 400


def test_a_body_shorter_than_announced_is_malformed(wire: Wire) -> None:
    """400 when the client goes away before its body is complete, or no answer at all."""
    head = _head(f"{API}/auth/login", "Content-Type: application/json", f"Content-Length: {len(LOGIN) + 1}")

    received = wire.send(head + LOGIN, half_close=True)

    assert not received or _status(received) == 400


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: +3",),
        ("Content-Length: 3, 3",),
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: -1",),
        ("Content-Length: x",),
        ("Transfer-Encoding: gzip",),
    ],
)
def test_a_length_that_is_none_is_refused(wire: Wire, headers: tuple[str, ...]) -> None:
    """A 4xx by the server or by us, never a guess."""
    received = wire.send(_head(f"{API}/auth/login", "Content-Type: application/json", *headers) + b"abc")

    assert 400 <= _status(received) < 500 or _status(received) == 501


def test_a_body_without_a_length_needs_one(wire: Wire) -> None:
    """411 when neither a length nor chunks are announced."""
    received = wire.send(_head(f"{API}/auth/login", "Content-Type: application/json"))

    assert _status(received) == 411


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Content-Length: 100000000", "Content-Type: application/json"), 413),
        (("Content-Length: 100", "Content-Type: text/plain"), 415),
        (("Content-Length: 100", "Content-Type: application/json", "Content-Encoding: gzip"), 415),
    ],
)
def test_what_headers_decide_is_answered_without_a_body(wire: Wire, headers: tuple[str, ...], status: int) -> None:
    """The answer comes though not a byte of the body was sent."""
    with socket.create_connection((wire.host, wire.port), timeout=10) as connection:
        connection.sendall(_head(f"{API}/auth/register", *headers))

        assert _status(connection.recv(65_536)) == status


def test_a_large_body_in_chunks_is_cut_short(wire: Wire) -> None:
    """413 for chunks that together are too large."""
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    head = _head(f"{API}/auth/login", "Content-Type: application/json", "Transfer-Encoding: chunked")

    assert _status(wire.send(head + chunk * 20 + b"0\r\n\r\n")) == 413


@pytest.mark.parametrize("values", [("Bearer {0}", "Bearer {0}"), ("Bearer {0}\xe9",), ("Bearer {0}, x",)])
def test_two_tokens_are_none(wire: Wire, token: str, values: tuple[str, ...]) -> None:
    """A second Authorization header, or bytes that are not ASCII, make the token invalid."""
    headers = [f"Authorization: {value.format(token)}" for value in values]

    assert _status(wire.send(_head(f"{API}/songs", *headers, method="GET"))) in {400, 401}


def test_a_connection_goes_on_after_a_refused_body(wire: Wire, token: str) -> None:
    """The unread body of one request is never taken for the next request."""
    smuggled = _head(f"{API}/health", method="GET")
    first = (
        f"POST {API}/songs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(smuggled)}\r\n\r\n"
    ).encode()
    after = _head(f"{API}/songs", f"Authorization: Bearer {token}", method="GET")

    received = wire.send(first + smuggled + after)

    assert received.startswith(b"HTTP/1.1 401")
    assert b'{"status":"healthy"}' not in received


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [], 400),
        ("1.1", [""], 400),
        ("1.1", ["a", "b"], 400),
        ("1.1", ["a", "a"], 400),
        ("1.1", ["a,b"], 400),
        ("1.1", ["a b"], 400),
        ("1.1", ["a"], 200),
        ("1.1", ["[::1]:80"], 200),
        ("1.0", [], 200),
    ],
)
def test_a_request_has_one_host(wire: Wire, version: str, hosts: list[str], status: int) -> None:
    """However often and in whatever form its Host comes (RFC 9112, 3.2)."""
    lines = [f"GET {API}/health HTTP/{version}", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]

    assert _status(wire.send("\r\n".join(lines).encode())) == status


@pytest.mark.parametrize("slow", ["bodies", "heads"])
def test_slow_requests_do_not_keep_others_waiting(wire: Wire, token: str, slow: str) -> None:
    """With 64 half-sent heads or bodies open, reads and health are answered."""
    head = _head(f"{API}/auth/register", "Content-Type: application/json", f"Content-Length: {len(LOGIN)}")
    with ExitStack() as stack:
        for half in [head[:40] if slow == "heads" else head + LOGIN[:5]] * SLOW:
            connection = stack.enter_context(socket.create_connection((wire.host, wire.port), timeout=10))
            connection.sendall(half)

        assert wire.call("GET", f"{API}/health").status == 200
        assert wire.call("GET", f"{API}/songs", headers=_bearer(token)).status == 200


def test_many_clients_are_answered_rightly(wire: Wire, token: str) -> None:
    """Each of 16 clients at once gets the answers to its own 20 questions."""
    wrong: list[object] = []

    def ask(client: int) -> None:
        for n in range(20):
            message = f"client {client} question {n}"
            path = f"{API}/songs/search?message={message.replace(' ', '+')}"
            result = wire.call("GET", path, headers=_bearer(token))
            if result.status != 200 or result.json["message"] != message:
                wrong.append(result)

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_the_page_is_served_whole(wire: Wire) -> None:
    """The largest file of the documentation arrives with its length."""
    result = wire.call("GET", "/docs/swagger-ui-bundle.js")

    assert (result.status, int(result.headers["content-length"])) == (200, len(result.body))
