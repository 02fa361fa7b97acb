"""Clients that send slowly."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

pytestmark = pytest.mark.server

SLOW = 64
HEAD = (
    b"POST /api/v1/auth/register HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 99\r\n"
)


def test_slow_heads_and_bodies_leave_granian_free_for_others(start: Callable[..., Any]) -> None:
    """64 half-sent heads and 64 half-sent bodies at once, with the threads of the default: others are answered."""
    running = start("granian")
    with ExitStack() as stack:
        for half in [HEAD, HEAD + b'\r\n{"user'] * SLOW:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))
            connection.sendall(half)

        for path, status in [("/api/v1/health", 200), ("/api/v1/songs", 401), ("/api/v1/health/ready", 200)]:
            assert running.get(path, timeout_s=1)[0] == status
