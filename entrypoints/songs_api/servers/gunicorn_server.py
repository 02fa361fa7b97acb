"""The configuration of gunicorn, for both ways to start it."""

import os
import signal
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]

from songs_api.bootstrap.handover import Application, Load
from songs_api.bootstrap.user_errors import EXPECTED
from songs_api.servers.listening import BACKLOG, connections_allowed
from songs_api.servers.options import GRACE_S, HEADER_BYTES, HEADERS, KEEP_ALIVE_S, REQUEST_LINE_BYTES, ServerOptions
from songs_api.servers.processes import Pinning, StopSignals, end_with, end_with_parent, shield_workers

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
        "worker_class": "songs_api.servers.gunicorn_worker.Worker",
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
