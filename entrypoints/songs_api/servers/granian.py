"""granian, the default server."""

import functools
import logging
import os
import signal
import sys
from typing import Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from songs_api.refusals import EXPECTED, REFUSED, report
from songs_api.servers.lifetime import end_with_parent
from songs_api.servers.listening import BACKLOG
from songs_api.servers.options import (
    CONNECTION_BUFFER_BYTES,
    GRACE_S,
    HEADER_TIMEOUT_S,
    Application,
    Load,
    ServerOptions,
)
from songs_api.servers.pinning import Pinning
from songs_api.servers.signals import StopSignals, end_with, obey_first_sigterm, shield_workers

_RESPAWN_PAUSE_S: Final = 0.5


def serve(options: ServerOptions, load: Load, *, respawn: bool = True) -> None:
    """Serve until SIGTERM or SIGINT; requests that were begun are answered before this returns.

    Args:
        options: Where and with what.
        load: Makes the application in each worker.
        respawn: Replace a worker that died.

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
        backpressure=BACKLOG,  # counts connections, idle ones too
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
    # 32 threads that mostly wait are what is wanted: requests that wait must not keep others waiting.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())
    # granian's own handlers deadlock when one interrupts another: these take their place before a worker is started.
    stop_signals = StopSignals(
        server.signal_handler_interrupt,
        lambda: [worker.inner.pid for worker in server.wrks],  # type: ignore[union-attr] # no thread in this build
        server.signal_handler_reload,
    )
    server.on_startup(stop_signals.install)
    pinning = Pinning(options.cores)
    shield_workers(from_sigterm=True)
    os.register_at_fork(before=pinning.choose, after_in_child=_without_handlers)
    os.register_at_fork(after_in_child=pinning.pin)
    loader = functools.partial(_load, load, os.getpid())
    try:
        server.serve(target_loader=loader, wrap_loader=False)
    finally:
        end_with(stop_signals)
    sys.stdout.flush()


def _without_handlers() -> None:
    # What the inherited one notes is read by nobody in a worker: until granian sets another, SIGTERM ends it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _load(load: Load, parent: int) -> Application:
    end_with_parent(parent)
    obey_first_sigterm()
    try:
        return load()
    except EXPECTED as error:
        report(error)
        sys.exit(REFUSED)
