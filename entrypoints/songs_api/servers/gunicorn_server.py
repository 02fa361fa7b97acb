"""gunicorn: its configuration, for both ways to start it, and its threaded worker.

Threads of the worker wait for clients only to receive a body or to send a response.
"""

import errno
import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from selectors import EVENT_READ
from typing import Any, Final

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]
from gunicorn.http import RequestParser, errors  # type: ignore[import-untyped]
from gunicorn.http2 import negotiation  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from songs_api.bootstrap.handover import EXPECTED, Application, Load
from songs_api.servers.gunicorn_connections import BUFFER_BYTES, SEND_TIMEOUT_S, Receiver, with_connections
from songs_api.servers.options import (
    BACKLOG,
    CONNECTION_BUFFER_BYTES,
    GRACE_S,
    HEADER_BYTES,
    HEADER_TIMEOUT_S,
    HEADERS,
    KEEP_ALIVE_S,
    REQUEST_LINE_BYTES,
    ServerOptions,
    connections_allowed,
)
from songs_api.servers.processes import Pinning, StopSignals, end_with, end_with_parent, obey_sigterm, shield_workers

_HEARTBEAT_S: Final = 30
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - gunicorn makes an unlinked file there


def gunicorn_options(options: ServerOptions) -> dict[str, Any]:
    """Return gunicorn's settings by their names."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    pinning = Pinning(options.cores)
    arbiters: list[Any] = []
    stop_signals = StopSignals(
        lambda: arbiters[-1].SIG_QUEUE.put(signal.SIGTERM),
        lambda: arbiters[-1].WORKERS,
    )

    def pre_fork(server: Any, worker: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's hook
        pinning.choose()

    def post_fork(server: Any, worker: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's hook
        pinning.pin()
        end_with_parent(worker.ppid)

    def when_ready(server: Any) -> None:  # noqa: ANN401 - gunicorn's hook
        arbiters.append(server)
        shield_workers()
        stop_signals.install()

    def on_exit(server: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's hook
        end_with(stop_signals)

    return {
        "bind": f"{host}:{options.port}",
        "workers": options.workers,
        "threads": options.threads,
        "worker_class": "songs_api.servers.gunicorn_server.Worker",
        "backlog": BACKLOG,
        "worker_connections": connections_allowed(),
        "timeout": _HEARTBEAT_S,  # of the whole worker: requests are bounded by SONGS_DEADLINE_S
        "graceful_timeout": GRACE_S,
        "keepalive": KEEP_ALIVE_S,
        "limit_request_line": REQUEST_LINE_BYTES,
        "limit_request_fields": HEADERS,
        "limit_request_field_size": HEADER_BYTES,
        "loglevel": options.log_level,
        "accesslog": None,
        "errorlog": "-",
        "logconfig_dict": _log(options),
        "control_socket_disable": True,
        "forwarder_headers": "",  # a client's SCRIPT_NAME is no business of ours
        "preload_app": False,  # storages are opened after the fork
        # The heartbeat file blocks a worker where the temporary folder is on a slow disk.
        "worker_tmp_dir": str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None,
        "pre_fork": pre_fork,
        "post_fork": post_fork,
        "when_ready": when_ready,
        "on_exit": on_exit,
    }


def _log(options: ServerOptions) -> dict[str, Any]:
    # Not passed on to the root logger: a worker would log it twice.
    own = {"level": options.log_level.upper(), "handlers": ["error_console"], "propagate": False}
    return {
        "loggers": {"gunicorn.error": own},
        "handlers": {"console": options.log_handler, "error_console": options.log_handler},
    }


class _Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, options: ServerOptions, load: Load) -> None:
        self._options = options
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_options(self._options).items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        try:
            return self._load()
        except EXPECTED as error:
            # Printed in one line, and no other worker is started to fail in the same way.
            raise AppImportError(f"songs: {error}") from error


def serve(options: ServerOptions, load: Load) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are answered before this returns.

    Raises:
        SystemExit: Always, at the end: gunicorn exits this way.
    """
    _Gunicorn(options, load).run()


LINGER_S: Final = 2.0
"""The time for which a closing connection still receives data, so that its client can read our response."""
LINGER_BYTES: Final = 65_536
_QUIET: Final[dict[type, type[BaseException]]] = {
    kind: type(kind.__name__, (kind,), {"__str__": lambda self: type(self).__name__})
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Receives request heads, and data after responses, in one loop for all connections.

    gunicorn's own worker waits for each new connection in a thread, for 5 s, reads heads there for as long as they
    take, and stops its loop for 2 s to close a connection: a few silent clients are enough to stop everything. Here
    threads get requests with complete heads only. Heads have `HEADER_TIMEOUT_S` from the connection, or from their
    first byte on a kept one.

    It refuses data that is not HTTP as gunicorn does, but without repeating the wrong line, which may hold a token.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*args, **kwargs)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._lingering: deque[tuple[float, Any]] = deque()

    def init_signals(self) -> None:
        """Set the handlers, and take the signal to stop that came before them."""
        super().init_signals()
        obey_sigterm()

    def load_wsgi(self) -> None:
        """Load the application."""
        super().load_wsgi()
        self.wsgi: Application = with_connections(self.wsgi)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, and wait for its first request."""
        if self.cfg.is_ssl or self.cfg.proxy_protocol != "off":
            super().accept(listener)
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                raise
            return
        if negotiation.prior_knowledge_allowed(self.cfg, address):
            self.nr_conns += 1
            sock.settimeout(None)
            self.enqueue_req(TConn(self.cfg, sock, address, listener.getsockname()))
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.parser = RequestParser(self.cfg, Receiver(sock), address)
        self._await_head(conn, b"")

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:  # noqa: ANN401 - gunicorn's
        """Begin with the next request of a connection that was kept."""
        if not _is_plain(conn):
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_head(conn, b"")

    def finish_request(self, conn: Any, fs: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Keep a connection for its next request, or close it."""
        if not _is_plain(conn) or fs.cancelled() or fs.exception() is not None:
            super().finish_request(conn, fs)
        elif not fs.result():
            self._linger(conn)
        elif ahead := conn.parser.unreader.take_buffered():
            self._await_head(conn, ahead)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Close what took too long."""
        super().murder_pending()
        now_s = time.monotonic()
        while self._lingering and self._lingering[0][0] <= now_s:
            self._close(self._lingering[0][1])

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:  # noqa: ANN401 - gunicorn's
        """Answer and log an error."""
        with suppress(OSError):  # gone already
            client.settimeout(SEND_TIMEOUT_S)
        super().handle_error(req, client, addr, unquoted(exc))

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401 - gunicorn's
        """Answer a request, whose head was parsed."""
        # gunicorn would claim to speak whatever version it was asked in (RFC 9110, 2.5).
        req.version = min(req.version, (1, 1))
        if _is_plain(conn):
            conn.parser.unreader.sock.receive_body()
        conn.sock.settimeout(SEND_TIMEOUT_S)
        try:
            return super().handle_request(req, conn)
        except TimeoutError:
            self.log.debug("Closing a connection whose client does not read.")
            return False

    def _await_head(self, conn: Any, received: bytes) -> None:  # noqa: ANN401 - gunicorn's
        if self._begin(conn, received):
            return
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + HEADER_TIMEOUT_S
        self.pending_conns.append(conn)
        head = bytearray(received)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_head, conn, head))

    def _on_head(self, conn: Any, head: bytearray, _: object) -> None:  # noqa: ANN401 - gunicorn's
        try:
            count = conn.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        head += self._buffer[:count]
        if count and not is_head(head):
            return
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        if not count or not self._begin(conn, bytes(head)):
            self.nr_conns -= 1
            conn.close()

    def _begin(self, conn: Any, received: bytes) -> bool:  # noqa: ANN401 - gunicorn's
        """Give a request to a thread if its head is there."""
        if not is_head(received):
            return False
        conn.data_ready = True
        conn.parser.unreader.sock.receive_head(received)
        self.enqueue_req(conn)
        return True

    def _linger(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Close a connection once its client has, or soon: else what it still sends would take our answer from it."""
        try:
            conn.sock.settimeout(0)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        self._lingering.append((time.monotonic() + LINGER_S, conn))
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_lingering, conn, [0]))

    def _on_lingering(self, conn: Any, drained: list[int], _: object) -> None:  # noqa: ANN401 - gunicorn's
        try:
            count = conn.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        drained[0] += count
        if not count or drained[0] >= LINGER_BYTES:
            self._close(conn)

    def _close(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's
        self._lingering = deque(entry for entry in self._lingering if entry[1] is not conn)
        self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def is_head(received: bytes | bytearray) -> bool:
    """Return whether a parser can accept or refuse the data without waiting for more.

    It can at the end of a head, beyond the maximum length, and after a line with a wrong ending.
    """
    end = received.find(b"\r\n\r\n")
    if end >= 0 or len(received) > CONNECTION_BUFFER_BYTES:
        return True
    return received.count(b"\n") != received.count(b"\r\n")


def _is_plain(conn: Any) -> bool:  # noqa: ANN401 - gunicorn's
    """Return whether a connection is one whose heads we read."""
    return isinstance(getattr(getattr(conn.parser, "unreader", None), "sock", None), Receiver)


def unquoted(error: BaseException) -> BaseException:
    """Return an error like one of gunicorn's about a request, whose text is its name; any other as it is."""
    quiet = _QUIET.get(type(error))
    if quiet is None:
        return error
    like: BaseException = quiet.__new__(quiet)
    like.__dict__.update(error.__dict__)
    return like
