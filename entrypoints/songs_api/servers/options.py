"""Options of both servers, and what the processes of one service share."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

from songs.ports.limiter import LimiterCapabilities
from songs_api.bootstrap.handover import METRICS_FOLDER, WINDOW_TABLE, Load
from songs_api.bootstrap.user_errors import warn
from songs_api.limiting.shared_windows import WindowTable
from songs_api.settings import Settings
from songs_api.settings.service import cores_to_pin
from songs_api.telemetry.logs import ServerLogHandler
from songs_plugins import Port

HEADER_TIMEOUT_S: Final = 5
KEEP_ALIVE_S: Final = 5
GRACE_S: Final = 30
"""The time that requests may take to end after SIGTERM."""
REQUEST_LINE_BYTES: Final = 8190
HEADER_BYTES: Final = 8190
HEADERS: Final = 100
CONNECTION_BUFFER_BYTES: Final = 32_768


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address, processes, threads, cores and logging of a server."""

    host: str
    port: int
    workers: int
    threads: int
    cores: tuple[int, ...]
    log_level: str
    log_form: str
    production: bool

    @classmethod
    def of(cls, settings: Settings, *, port: int) -> "ServerOptions":
        """Return the options that the settings ask for, with a port that was found free."""
        service = settings.service
        return cls(
            service.host,
            port,
            service.workers,
            service.threads,
            cores_to_pin(service.pin_workers, service.workers),
            log_level=service.log_level,
            log_form=service.log_format,
            production=service.environment == "production",
        )

    @property
    def log_handler(self) -> dict[str, Any]:
        """The handler of the server's own messages, in the form of `logging.config`."""
        return {"()": ServerLogHandler, "form": self.log_form, "production": self.production}


class Serve(Protocol):
    """Runs a server until SIGTERM or SIGINT, and ends the process with status 1 when a worker cannot live."""

    def __call__(self, options: ServerOptions, load: Load) -> None:
        """Serve."""
        ...


_MODULES: Final = {"granian": "songs_api.servers.granian", "gunicorn": "songs_api.servers.gunicorn_server"}


def serve_with(server: str, options: ServerOptions, load: Load) -> None:
    """Serve with the server that the settings name, until SIGTERM or SIGINT."""
    # The other one is not imported: every start would pay for it.
    serve = cast("Serve", import_module(_MODULES[server]).serve)
    serve(options, load)


@contextmanager
def metrics_folder(settings: Settings) -> Iterator[None]:
    """For the length of the block name a folder for metrics, if they are wanted and none is named; remove it then.

    What a worker counted stays when it ends, so the one that replaces it goes on from there. Where there is no room for
    a folder, each process counts on its own.
    """
    if settings.service.metrics_token is None or METRICS_FOLDER in os.environ:
        yield
        return
    owner = os.getpid()
    try:
        folder = tempfile.mkdtemp(prefix="songs-metrics-")
    except OSError as error:
        warn(f"there is no folder for metrics, so each process shows its own: {error.strerror or error}")
        yield
        return
    os.environ[METRICS_FOLDER] = folder
    try:
        yield
    finally:
        # Workers that were forked off leave this block as well.
        if os.getpid() == owner:
            del os.environ[METRICS_FOLDER]
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def window_table(settings: Settings, workers: int) -> Iterator[None]:
    """For the length of the block have a table for what workers remember, if there are several and a shared limiter.

    Where none can be made, each of them remembers for itself.
    """
    limiter = settings.adapters[Port.LIMITER].spec.capabilities
    if workers == 1 or not isinstance(limiter, LimiterCapabilities) or not (limiter.shared and limiter.limits):
        yield
        return
    owner = os.getpid()
    try:
        table = WindowTable.create()
    except OSError as error:
        warn(
            "each process remembers by itself what was used of rate limits, and more may be allowed when the limiter "
            f"fails: {error.strerror or error}"
        )
        yield
        return
    os.environ[WINDOW_TABLE] = table.path
    try:
        yield
    finally:
        # Workers that were forked off leave this block as well.
        if os.getpid() == owner:
            os.environ.pop(WINDOW_TABLE, None)
            table.close()
