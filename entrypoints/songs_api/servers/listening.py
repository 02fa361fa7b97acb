"""Addresses: checks that one is free, and detects when a server responds on it."""

import errno
import http.client
import resource
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from songs_api.bootstrap.user_errors import UserError

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
