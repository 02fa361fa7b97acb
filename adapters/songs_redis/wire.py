"""Connections: names resolved within a deadline, and RESP on sockets.

Each call on one of the driver's connections ends by a given moment. The driver's own limits are for a single read: a
server, or a network, that delivers byte after byte would hold a call for as long as it pleases.
"""

import select
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final, cast

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError
from redis.retry import Retry

MAX_ADDRESSES: Final = 4

Address = tuple[int, tuple[Any, ...]]


class Resolver:
    """Looks up one host. Thread-safe.

    The system's look-up has no time limit: it runs in a thread of its own, one at a time. While it takes
    longer than a caller has, or fails, the addresses of the last one stand.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._pending: Future[list[Address]] | None = None
        self._known: list[Address] = []

    def addresses(self, ends_at_s: float) -> list[Address]:
        """Return the addresses, before `ends_at_s` of `time.monotonic`.

        Raises:
            OSError: There are none, or none yet (`TimeoutError`).
        """
        with self._lock:
            pending = self._pending
            if pending is None:
                pending = self._pending = Future()
                threading.Thread(target=self._resolve, args=(pending,), daemon=True).start()
            known = self._known
        left_s = max(0.0, ends_at_s - time.monotonic())
        try:
            # With something to fall back on, half of the time is left for the connection.
            return pending.result(timeout=left_s / 2 if known else left_s)
        except OSError:
            if known:
                return known
            raise

    def _resolve(self, pending: Future[list[Address]]) -> None:
        try:
            infos = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found: list[Address] = [(family, address) for family, _, _, _, address in infos[:MAX_ADDRESSES]]
        except (OSError, UnicodeError) as error:
            with self._lock:
                self._pending = None
            pending.set_exception(error if isinstance(error, OSError) else OSError("this is not the name of a host"))
            return
        with self._lock:
            self._pending = None
            self._known = found
        pending.set_result(found)


HOST: Final = "localhost"
PORT: Final = 6379

Command = Sequence[str | bytes | int]
"""A command's name and arguments."""


class _BoundedSocket:
    """A connected socket, as far as the driver uses one, whose reads and writes end when its link says."""

    def __init__(self, link: "Link", connected: socket.socket) -> None:
        self._link = link
        self._socket = connected

    def recv(self, size: int) -> bytes:
        self._socket.settimeout(self._link.left_s())
        return self._socket.recv(size)

    def recv_into(self, buffer: bytearray) -> int:
        self._socket.settimeout(self._link.left_s())
        return self._socket.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(self._link.left_s())
            rest = rest[self._socket.send(rest) :]

    def settimeout(self, timeout: float | None) -> None:
        """Do nothing: the link's moment holds."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a socket has
        return getattr(self._socket, name)


class Link(AbstractConnection):
    """A connection that one caller uses at a time."""

    _ends_at_s = 0.0
    _connected: socket.socket | None = None

    def ask(self, commands: Sequence[Command], ends_at_s: float) -> list[Any]:
        """Connect if need be, send commands, and return the answers, before `ends_at_s` of `time.monotonic`.

        A command that the server refuses is answered with the driver's `ResponseError`. After an exception of any kind
        answers may still come: drop the link then.
        """
        self._ends_at_s = ends_at_s
        driver: Any = self  # whose methods are not annotated
        driver.connect()
        driver.send_packed_command(driver.pack_commands(commands))
        return [_answer(driver) for _ in commands]

    def drop(self) -> None:
        """Disconnect, and forget what was not read."""
        driver: Any = self
        driver.disconnect()
        self._connected = None

    def is_fresh(self) -> bool:
        """Return whether it is connected and silent: not closed by the server, no answer left from another call."""
        if self._connected is None:
            return False
        poll = select.poll()
        try:
            poll.register(self._connected, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def left_s(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: None are.
        """
        left_s = self._ends_at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the time for this call is over")
        return left_s

    def _bound(self, connected: socket.socket) -> _BoundedSocket:
        self._connected = connected
        return _BoundedSocket(self, connected)


class _UnixLink(Link, UnixDomainSocketConnection):
    """A link through a socket in the file system."""

    port = 0
    """The driver looks for a port when a connection takes too long."""

    def _connect(self) -> _BoundedSocket:
        self.socket_connect_timeout = self.left_s()
        return self._bound(cast("Any", super())._connect())  # noqa: SLF001 - the driver's place for subclasses


class _Tcp(Connection):
    """Connects to a host in bounded time."""

    resolver: Resolver

    def _connect(self) -> Any:  # noqa: ANN401 - the classes below return another kind of socket
        link = cast("Link", self)
        addresses = self.resolver.addresses(time.monotonic() + link.left_s())
        failure: OSError | None = None
        for tried, (family, address) in enumerate(addresses):
            connecting = socket.socket(family, socket.SOCK_STREAM)
            try:
                connecting.settimeout(link.left_s() / (len(addresses) - tried))
                connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                connecting.connect(address)
                # What remains is for the handshake of TLS.
                connecting.settimeout(link.left_s())
            except OSError as error:
                connecting.close()
                failure = error
            else:
                return connecting
        raise failure or OSError("the host has no address")


class _TcpLink(Link, _Tcp):
    """A link to a host."""

    def _connect(self) -> _BoundedSocket:
        return self._bound(super()._connect())


class _TlsLink(Link, SSLConnection, _Tcp):
    """A link to a host, encrypted. `SSLConnection` encrypts what `_Tcp` connects."""

    def _connect(self) -> _BoundedSocket:
        return self._bound(cast("Any", super())._connect())  # noqa: SLF001 - the driver's place for subclasses


def _answer(driver: Any) -> Any:  # noqa: ANN401 - what the server says
    try:
        return driver.read_response()
    except ResponseError as error:
        return error


class Links:
    """Makes links to one server, all with the same options."""

    def __init__(self, options: dict[str, Any]) -> None:
        kind = options.get("connection_class", Connection)
        self._kind: type[Link] = {UnixDomainSocketConnection: _UnixLink, SSLConnection: _TlsLink}.get(kind, _TcpLink)
        self._resolver = Resolver(options.get("host", HOST), options.get("port", PORT))
        self._options: dict[str, Any] = {name: value for name, value in options.items() if name != "connection_class"}
        # So that connecting asks the server nothing but AUTH and SELECT, and tries once.
        self._options |= {"protocol": 2, "driver_info": None, "health_check_interval": 0}

    def make(self) -> Link:
        """Return a new link, not connected."""
        link = self._kind(**self._options, retry=Retry(NoBackoff(), 0))
        if isinstance(link, _Tcp):
            link.resolver = self._resolver
        return link
