"""Options of both servers, what the processes of one service share, and the address that it listens on."""

import errno
import http.client
import os
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

from songs.ports.limiter import LimiterCapabilities
from songs_api.bootstrap.handover import METRICS_FOLDER, WINDOW_TABLE, Load, UserError, warn
from songs_api.settings import Settings
from songs_api.settings.service import cores_to_pin
from songs_api.shared_windows import WindowTable
from songs_api.telemetry.logs import ServerLogHandler
from songs_plugins import Port

BACKLOG: Final = 4096
_OTHER_FILES: Final = 256
"""Files that a worker may have open besides its clients' connections: of storages, caches and logs."""
_POLL_S: Final = 0.02
_PATIENCE_S: Final = 120.0
_ANY: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


class AddressError(UserError):
    """The service cannot listen on an address; the message says why and what to do."""


def free_port(host: str, port: int) -> int:
    """Return the port to listen on: `port`, or one that is free where it is 0.

    Servers that listen with SO_REUSEPORT would share a port with another such server without a word, so a plain
    socket is bound first.

    Raises:
        AddressError: The port is in use, may not be used, or the host is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # Without it, connections of an earlier server that are being wound up would count as "in use".
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        msg = f"SONGS_HOST: {host!r} is not an address of this machine ({error.strerror})"
        raise AddressError(msg) from error
    except OSError as error:
        raise AddressError(_bind_problem(host, port, error)) from error


def _bind_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop what listens there, or choose another with --port or SONGS_PORT"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} may not be used by this user; choose one above 1023 with --port or SONGS_PORT"
    return f"{host}:{port} cannot be listened on: {error.strerror}; set SONGS_HOST to an address of this machine"


def connections_allowed() -> int:
    """Return how many connections a worker takes, for which this process and its children may open files then.

    A server that may open no file for a connection which it has to accept fails, or tries again without end.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = BACKLOG + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return BACKLOG
    return max(soft // 2, soft - _OTHER_FILES)


def url(host: str, port: int) -> str:
    """Return the address under which a client on this machine finds the service."""
    reachable = _ANY.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def once_listening(host: str, port: int, announce: Callable[[], None]) -> None:
    """Call `announce`, in a thread of its own, as soon as the service answers its first request."""
    reachable = _ANY.get(host, host)
    # Imported here and not in the thread: a process that is forked off meanwhile must not inherit a held import lock.
    socket.getaddrinfo(reachable, port)
    threading.Thread(target=_wait, args=(reachable, port, announce), daemon=True, name="announce").start()


def _wait(host: str, port: int, announce: Callable[[], None]) -> None:
    give_up_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_s:
        if _answers(host, port):
            announce()
            return
        time.sleep(_POLL_S)


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/api/v1/health")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


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
        deployment, telemetry = settings.service.deployment, settings.service.telemetry
        return cls(
            deployment.host,
            port,
            deployment.workers,
            deployment.threads,
            cores_to_pin(deployment.pin_workers, deployment.workers),
            log_level=telemetry.log_level,
            log_form=telemetry.log_format,
            production=deployment.environment == "production",
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
    if settings.service.telemetry.metrics_token is None or METRICS_FOLDER in os.environ:
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
