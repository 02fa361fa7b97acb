"""granian, the default server."""

import functools
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from songs_api.bootstrap.handover import EXPECTED, REFUSED, Application, Load, report
from songs_api.http.kernel.body_slots import CONNECTION, LastAnswer, has_body
from songs_api.servers.options import (
    BACKLOG,
    CONNECTION_BUFFER_BYTES,
    GRACE_S,
    HEADER_TIMEOUT_S,
    ServerOptions,
    connections_allowed,
)
from songs_api.servers.processes import (
    Pinning,
    StopSignals,
    end_with,
    end_with_parent,
    exists,
    obey_first_sigterm,
    shield_workers,
)

_RESPAWN_PAUSE_S: Final = 0.5
_FLUSH_S: Final = 0.02


def serve(options: ServerOptions, load: Load, *, respawn: bool = True) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are answered before this returns.

    Args:
        options: The options of the server.
        load: Builds the application in each worker.
        respawn: Whether to replace a worker that died.

    Raises:
        SystemExit: A worker died and was not, or could not be, replaced.
    """
    server = Granian(
        "songs_api",
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,  # `auto` would take HTTP/2 without TLS, to which none of the limits below apply
        websockets=False,
        workers=options.workers,
        blocking_threads=options.threads,
        backlog=BACKLOG,
        backpressure=connections_allowed(),  # counts connections, idle ones too
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_S * 1000,
            max_buffer_size=CONNECTION_BUFFER_BYTES,
        ),
        log_level=LogLevels(options.log_level),
        log_dictconfig={"handlers": {"console": options.log_handler, "access": options.log_handler}},
        log_access=False,
        respawn_failed_workers=respawn,
        respawn_interval=_RESPAWN_PAUSE_S,
        workers_kill_timeout=GRACE_S,
    )

    def workers() -> list[int]:
        return [worker.inner.pid for worker in server.wrks]  # type: ignore[union-attr] # no thread in this build

    logging.getLogger("_granian").addFilter(FalseWarnings(workers))
    # granian's own handlers deadlock when one interrupts another: these take their place before a worker is started.
    stop_signals = StopSignals(server.signal_handler_interrupt, workers, server.signal_handler_reload)
    server.on_startup(stop_signals.install)
    pinning = Pinning(options.cores)
    shield_workers()
    os.register_at_fork(before=pinning.choose, after_in_child=_without_handlers)
    os.register_at_fork(after_in_child=pinning.pin)
    loader = functools.partial(_load, load, os.getpid())
    try:
        server.serve(target_loader=loader, wrap_loader=False)
    except SystemExit:
        # If all get the signal, granian takes a worker that ended before it was stopped for a failed one.
        if not stop_signals.asked:
            raise
    finally:
        end_with(stop_signals)
    sys.stdout.flush()


class FalseWarnings(logging.Filter):
    """Leaves out two warnings of granian, one always and one where it is wrong.

    It advises against more threads than cores. But 32 threads that mostly wait are what is wanted: requests that wait
    must not keep others waiting.

    It reports that it kills a worker when that has ended already, but the thread that saw it end was not yet given the
    interpreter's lock to say so. It takes 1 ms for enough, which it is not on a busy machine.

    Args:
        workers: Returns the process ids of the workers, in their order.
    """

    def __init__(self, workers: Callable[[], list[int]]) -> None:
        super().__init__()
        self._workers = workers

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        message = record.getMessage()
        if "Python threads" in message:
            return False
        killed = re.match(r"Killing worker-(\d+) after it refused", message)
        return killed is None or exists(self._workers()[int(killed[1]) - 1])


def _without_handlers() -> None:
    # In a worker nothing reads the signals of the inherited handler: until granian sets another, SIGTERM ends it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _load(load: Load, parent: int) -> Application:
    end_with_parent(parent)
    obey_first_sigterm(parent)
    try:
        return _with_connections(load())
    except EXPECTED as error:
        report(error)
        sys.exit(REFUSED)


class GranianConnection:
    """The connection of a body under granian.

    A read of a body blocks until its client sends more, and granian has no time limit for that. But another thread may
    send a response, and hyper, which speaks HTTP for granian, closes a connection at once when a streamed response
    ends before its length, which also ends the read. A complete response would not do: hyper would go on to wait for
    the rest of the body.

    Args:
        protocol: granian's protocol object of the request.
    """

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 - granian's
        self._protocol = protocol

    def cut(self, answer: LastAnswer) -> None:
        """Answer, and close the connection."""
        length = str(len(answer.body) + 1)
        headers = [*answer.headers, ("connection", "close"), ("content-length", length)]
        self._protocol.response_iter(answer.status, headers, _pieces(answer.body))


def _pieces(body: bytes) -> Iterator[bytes]:
    yield body
    # Else hyper may find the end of the pieces together with this one, and close before it has sent anything.
    time.sleep(_FLUSH_S)


def _with_connections(app: Application) -> Application:
    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:  # noqa: ANN401 - WSGI's
        if has_body(environ):
            # granian calls an application with WSGI's two arguments, and keeps its protocol in a local variable.
            environ[CONNECTION] = GranianConnection(sys._getframe(1).f_locals["proto"])  # noqa: SLF001
        return app(environ, start_response)

    return call
