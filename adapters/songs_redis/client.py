"""The client: settings, connections and a breaker, within a deadline."""

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from redis.connection import parse_url
from redis.exceptions import ReadOnlyError, ResponseError

from songs.ports.clock import Clock
from songs.ports.meter import UNMETERED, Meter
from songs_redis.breaker import Breaker
from songs_redis.wire import Command, Link, Links

# Time limits, retries and the protocol are not the user's to choose: the ports promise how long a call takes.
_IN_URL: Final = frozenset({"connection_class", "db", "host", "password", "path", "port", "username"})
_FORMS: Final = "redis://[[user]:password@]host[:port][/db], rediss://... for TLS, or unix:///path/to/socket[?db=1]"


class RedisSettings(BaseModel):
    """The settings of the Redis cache and limiter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description=f"The server: {_FORMS}. Options of TLS follow as in ?ssl_ca_certs=/path/ca.pem.",
    )
    prefix: str = Field(
        default="songs",
        pattern=r"^[!-~]{1,64}$",
        description="What all keys begin with; two services on one server need two.",
    )

    @field_validator("url")
    @classmethod
    def _is_understood(cls, value: SecretStr) -> SecretStr:
        _options(value.get_secret_value())
        return value

    def options(self) -> dict[str, Any]:
        """Return the server's address and credentials, as arguments of the driver's connections."""
        return _options(self.url.get_secret_value())


def _options(url: str) -> dict[str, Any]:
    parse: Any = parse_url  # not annotated by the driver
    # The URL may hold a password: neither it, nor the driver's message about it, is repeated.
    try:
        found: dict[str, Any] = parse(url)
    except ValueError:
        msg = f"must have the form {_FORMS}; write characters such as / # ? @ in a password as %2F %23 %3F %40"
        raise ValueError(msg) from None
    if any(name not in _IN_URL and not name.startswith("ssl_") for name in found):
        msg = "may only have the options db, password, username and those that begin with ssl_"
        raise ValueError(msg)
    if "path" not in found and url.startswith("unix:"):
        raise ValueError("must name a socket: unix:///path/to/socket")
    return found


CALL_S: Final = 0.15
"""How long a call takes at most, connecting included. The ports allow 0.2 s; the rest is for this process's threads."""


class NotAnsweredError(Exception):
    """The server gave no answer, or refused. The message is safe to show: it has neither address nor credentials."""


class Client:
    """Sends commands to one server, one round trip each. Thread-safe; builds no connection before the first call.

    Args:
        settings: Where the server is.
        clock: For the pauses of the circuit breaker.
        connections: How many calls may be under way at once; others wait, within their time.
        call_s: How long a call takes at most.
        meter: Shows the circuit breaker.
    """

    def __init__(
        self,
        settings: RedisSettings,
        clock: Clock,
        *,
        connections: int,
        call_s: float = CALL_S,
        meter: Meter = UNMETERED,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._meter = meter
        self._connections = connections
        self._call_s = call_s
        self._lock = threading.Lock()
        self._pool: _Pool | None = None

    @property
    def database(self) -> int:
        """The number of the database on the server."""
        return int(self._settings.options().get("db", 0))

    def open(self) -> None:
        """Make calls possible. Does no I/O."""
        with self._lock:
            if self._pool is None:
                self._pool = self._new_pool()

    def close(self) -> None:
        """Close all connections; those in use when their call is over."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def call(self, command: Command, *, probe: bool = False) -> Any:  # noqa: ANN401 - what the server says
        """Return the server's answer to one command.

        Args:
            command: Its name and arguments.
            probe: Ask even while the circuit breaker says that there will be no answer, and by a new connection: the
                server's name may lead elsewhere by now.

        Raises:
            NotAnsweredError: No answer came, after `call_s` at the latest; whether the server obeyed is unknown.
        """
        (answer,) = self.calls((command,), probe=probe)
        if isinstance(answer, NotAnsweredError):
            raise answer
        return answer

    def calls(self, commands: Sequence[Command], *, probe: bool = False) -> list[Any]:
        """Return the server's answer to each of some commands: `NotAnsweredError` for one that it refused.

        Raises:
            NotAnsweredError: As in `call`: none was answered.
        """
        pool = self._open_pool()
        breaker = pool.breaker
        ticket = breaker.probe() if probe else breaker.admit()
        if ticket is None:
            raise NotAnsweredError("It did not answer a moment ago.")
        try:
            answers = pool.exchange(commands, time.monotonic() + self._call_s, fresh=probe)
        except Exception as error:  # what a driver that is fed with rubbish may raise is anything
            breaker.failed(ticket)
            msg = f"The connection failed: {type(error).__name__}."
            raise NotAnsweredError(msg) from error
        breaker.worked()
        return [_refused(answer) if isinstance(answer, ResponseError) else answer for answer in answers]

    def forget_idle(self) -> None:
        """Close the connections that nobody is using, and the others after their call: the next calls make new ones."""
        pool = self._pool
        if pool is not None and pool.pid == os.getpid():
            pool.forget_idle()

    def _open_pool(self) -> "_Pool":
        pool = self._pool
        if pool is None:
            raise NotAnsweredError("It is not open.")
        if pool.pid != os.getpid():
            # A forked process shares its parent's connections and, perhaps for ever, locks that were held.
            pool = self._pool = self._new_pool()
        return pool

    def _new_pool(self) -> "_Pool":
        return _Pool(Links(self._settings.options()), Breaker(self._clock, self._meter), self._connections)


def _refused(error: ResponseError) -> NotAnsweredError:
    # The driver makes some of the server's codes (OOM, READONLY) a class, and leaves others in the text.
    code = str(error).partition(" ")[0]
    refused = NotAnsweredError(f"It refused: {code if code.isupper() else type(error).__name__}.")
    refused.__cause__ = error
    return refused


class _Pool:
    """The connections of one process. Thread-safe.

    It needs no bulkhead: a call, waiting included, ends within its time, and the breaker fails fast for a server that
    stalls.
    """

    def __init__(self, links: Links, breaker: Breaker, connections: int) -> None:
        self.pid = os.getpid()
        self.breaker = breaker
        self._links = links
        self._slots = threading.BoundedSemaphore(connections)
        self._idle: deque[Link] = deque()
        self._closed = False
        self._forgotten = 0

    def exchange(self, commands: Sequence[Command], ends_at_s: float, *, fresh: bool) -> list[Any]:
        if not self._slots.acquire(timeout=max(0.0, ends_at_s - time.monotonic())):
            raise TimeoutError("all connections are in use")
        try:
            forgotten = self._forgotten
            link = self._links.make() if fresh else self._take()
            keep = False
            try:
                answers = link.ask(commands, ends_at_s)
                # A server that is a primary no more goes on answering: its name leads to another one, perhaps.
                keep = forgotten == self._forgotten and not any(_is_demoted(answer) for answer in answers)
                return answers
            finally:
                # The answer to a call that failed may still come: nobody else shall take it for theirs.
                if keep:
                    self._idle.append(link)
                if self._closed or not keep:
                    link.drop()
        finally:
            self._slots.release()

    def _take(self) -> Link:
        while True:
            try:
                # The one used last: the server may have closed those that nobody used for long.
                link = self._idle.pop()
            except IndexError:
                return self._links.make()
            if link.is_fresh():
                return link
            link.drop()

    def forget_idle(self) -> None:
        self._forgotten += 1
        while True:
            try:
                self._idle.pop().drop()
            except IndexError:
                return

    def close(self) -> None:
        self._closed = True
        self.forget_idle()


def _is_demoted(answer: object) -> bool:
    return isinstance(answer, ReadOnlyError) or (isinstance(answer, ResponseError) and "NOTPRIMARY" in str(answer))
