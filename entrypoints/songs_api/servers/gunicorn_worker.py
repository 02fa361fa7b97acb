"""gunicorn's worker with threads: repeats nothing of a request that it cannot read, and leaves no holes in its heap."""

import socket
import threading
from typing import Any, Final

from gunicorn.http import RequestParser, errors  # type: ignore[import-untyped]
from gunicorn.http2 import negotiation  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

_BUFFER_BYTES: Final = 16_384
_QUIET: Final[dict[type, type[BaseException]]] = {
    kind: type(kind.__name__, (kind,), {"__str__": lambda self: type(self).__name__})
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Refuses what is no HTTP as gunicorn does, without the line that was wrong: there may be a token in it."""

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's
        """Answer a request."""
        is_plain = not self.cfg.is_ssl and not negotiation.prior_knowledge_allowed(self.cfg, conn.client)
        if conn.parser is None and is_plain:
            conn.parser = RequestParser(self.cfg, Receiver(conn.sock), conn.client)
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ANN401 - gunicorn's
        """Answer and log an error."""
        super().handle_error(req, client, addr, untold(exc))


class Receiver:
    """Receives from a socket, by way of a buffer that each thread keeps.

    `socket.recv` takes memory for as much as may come, and gives the rest of it back. Of 8 KiB for each head that
    leaves holes, a little too small for the next head, between small pieces that the allocator keeps for each thread
    and size: the memory of a worker grew with every size that heads have.

    Args:
        source: The socket.
    """

    _buffers: Final = threading.local()

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self.gettimeout = source.gettimeout
        self.settimeout = source.settimeout

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, or as many as the buffer has room for; none at the end."""
        try:
            buffer: memoryview = self._buffers.one
        except AttributeError:
            buffer = self._buffers.one = memoryview(bytearray(_BUFFER_BYTES))
        return bytes(buffer[: self._source.recv_into(buffer, min(size, _BUFFER_BYTES))])


def untold(error: BaseException) -> BaseException:
    """Return an error like one of gunicorn's about a request, whose text is its name; any other as it is."""
    quiet = _QUIET.get(type(error))
    if quiet is None:
        return error
    like: BaseException = quiet.__new__(quiet)
    like.__dict__.update(error.__dict__)
    return like
