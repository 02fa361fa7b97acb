"""Connections of gunicorn's threaded worker: what is received and sent, in which time, and how they end early."""

import socket
import threading
from collections.abc import Callable
from typing import Any, Final

from gunicorn.http import errors  # type: ignore[import-untyped]

from songs_api.bootstrap.handover import Application
from songs_api.http.kernel.body_slots import CONNECTION, LastAnswer, has_body

SEND_TIMEOUT_S: Final = 15.0
"""The total time for the system to take an answer from us, while its client reads: after that the connection is closed,
and the thread is free. `socket.sendall` counts a timeout of a socket from its call, not from the last byte."""
BUFFER_BYTES: Final = 16_384


class GunicornConnection:
    """The connection of a body under gunicorn: a socket that receives nothing more once it is cut."""

    __slots__ = ("_socket",)

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def cut(self, answer: LastAnswer) -> None:  # noqa: ARG002 - the thread that is woken answers
        """End the read."""
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:  # gone already: then the read ends too
            return


def with_connections(app: Application) -> Application:
    """Return `app` with the connections of requests that have a body, which it may close after its answer."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI's
        if not has_body(environ):
            return app(environ, start_response)
        sock: socket.socket = environ["gunicorn.socket"]
        environ[CONNECTION] = GunicornConnection(sock)
        # A body has times of its own.
        sock.settimeout(None)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401 - WSGI's
            if ("connection", "close") in headers:
                # gunicorn takes no such header from an application.
                start_response.__self__.force_close()  # type: ignore[attr-defined]
            return start_response(status, headers, exc_info)

        try:
            return app(environ, start)
        finally:
            sock.settimeout(SEND_TIMEOUT_S)

    return call


class Receiver:
    """Receives from a socket, by way of a buffer that each thread keeps.

    `socket.recv` allocates memory for the maximum, and returns the rest. With 8 KiB for each head that leaves holes, a
    little too small for the next head, between small blocks that the allocator keeps for each thread and size: the
    memory of a worker grew with every size of heads.

    Args:
        source: The socket.

    A head is received before it is parsed, and no more data is awaited until `receive_body` is called.
    """

    _buffers: Final = threading.local()

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._head: bytes | None = None
        self.gettimeout = source.gettimeout
        self.settimeout = source.settimeout

    def receive_head(self, head: bytes) -> None:
        """Let the head of the next request be what was received already, and maybe some of its body."""
        self._head = head

    def receive_body(self) -> None:
        """Go on to receive."""
        self._head = None

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, or as many as the buffer has room for; none at the end."""
        if self._head is not None:
            head, self._head = self._head, b""
            if not head:
                raise errors.LimitRequestHeaders(b"the head is too long")
            return head
        try:
            buffer: memoryview = self._buffers.one
        except AttributeError:
            buffer = self._buffers.one = memoryview(bytearray(BUFFER_BYTES))
        return bytes(buffer[: self._source.recv_into(buffer, min(size, BUFFER_BYTES))])
