"""Requests as bytes on sockets, for what no HTTP client would do."""

import socket
import time
from contextlib import suppress
from typing import Final

PATIENCE_S: Final = 30.0
REGISTER: Final = "/api/v1/auth/register"


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    """Return a connection from one of the addresses of loopback."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(source, 0))


def head(method: str, path: str, *lines: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode("latin-1")


def half_body(path: str = REGISTER, *lines: str) -> bytes:
    """Return a request whose body does not come to its end."""
    return head("POST", path, "Content-Type: application/json", "Content-Length: 99", *lines) + b'{"user'


def registration(name: str) -> bytes:
    """Return a whole request."""
    body = f'{{"username":"{name}","password":"a long pass phrase"}}'.encode()
    return head("POST", REGISTER, "Content-Type: application/json", f"Content-Length: {len(body)}") + body


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Receive one answer, whose length it says; status 0 where the connection is closed instead."""
    received = b""
    with suppress(ConnectionError):
        while b"\r\n\r\n" not in received:
            part = connection.recv(65_536)
            if not part:
                return 0, {}, received
            received += part
        top, _, body = received.partition(b"\r\n\r\n")
        status, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            part = connection.recv(65_536)
            if not part:
                break
            body += part
        return int(status.split()[1]), headers, body
    return 0, {}, received


def is_closed(connection: socket.socket, patience_s: float = PATIENCE_S) -> bool:
    """Return whether the server closes a connection in time, whatever it sends before."""
    ends_s = time.monotonic() + patience_s
    try:
        while (left_s := ends_s - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(65_536):
                return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return False
