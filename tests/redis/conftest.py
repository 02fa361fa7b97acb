"""Real servers, caches and limiters on them, and servers that misbehave, for the tests of songs_redis."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest
from pydantic import SecretStr
from tests import running
from tests.clock import ManualClock
from tests.outages.relay import Relay as Way
from tests.own_time import Stopwatch

from songs.ports.cache import Miss
from songs_redis import RedisCache, RedisCountingCache, RedisLimiter, RedisSettings
from songs_redis.client import Client
from songs_redis.testing import PrivateServer

Admin = Callable[..., Any]

# The ports allow 0.2 s and 0.5 s. What is added is not theirs but this machine's, which runs other things as well; the
# driver's own limits would take seconds.
PATIENCE_S = 0.2 + 0.8


class Relay:
    """Stands between a client and a server: counts round trips, and what the server may say is the test's to decide.

    Attributes:
        answer: Given what a client sent, returns what it is answered; None hangs up.
        round_trips: How often somebody was answered.
        connections: How many there have been.
    """

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer
        self.round_trips = 0
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            while (asked := client.recv(1_000_000)) and (answer := self.answer(asked)) is not None:
                self.round_trips += 1
                client.sendall(answer)

    def close(self) -> None:
        """Hang up on everyone."""
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def clock() -> Any:
    """A clock that stands still but for `sleep`."""
    return ManualClock()


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    """A running, empty redis-server."""
    return new_redis_server()


@pytest.fixture(scope="session")
def new_port() -> Callable[[], int]:
    """Finds a port that nobody listens on."""
    return running.free_port


@pytest.fixture
def free_port(new_port: Callable[[], int]) -> int:
    """A port that nobody listens on."""
    return new_port()


@pytest.fixture
def admin(server: PrivateServer, new_redis_admin: Callable[[PrivateServer], Admin]) -> Admin:
    """Sends one command to `server`."""
    return new_redis_admin(server)


@pytest.fixture
def new_client(clock: Any) -> Iterator[Callable[..., Client]]:
    """Makes a client of a URL; it is closed at the end. A call takes as long as it likes, unless the test says."""
    made: list[Client] = []

    def make(url: str, *, connections: int = 4, call_s: float = 30.0) -> Client:
        made.append(Client(RedisSettings(url=SecretStr(url)), clock, connections=connections, call_s=call_s))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def new_cache(new_client: Callable[..., Client]) -> Callable[..., RedisCache]:
    """Makes an open cache on the server of a URL."""

    def make(url: str, **limits: Any) -> RedisCache:
        cache = RedisCache(new_client(url, **limits), "songs")
        cache.open()
        return cache

    return make


@pytest.fixture
def new_limiter(new_client: Callable[..., Client]) -> Callable[..., RedisLimiter]:
    """Makes an open limiter on the server of a URL."""

    def make(url: str, **limits: Any) -> RedisLimiter:
        limiter = RedisLimiter(new_client(url, **limits), "songs")
        limiter.open()
        return limiter

    return make


@pytest.fixture
def new_counting_cache(new_client: Callable[..., Client]) -> Callable[..., RedisCountingCache]:
    """Makes an open counting cache on the server of a URL."""

    def make(url: str, **limits: Any) -> RedisCountingCache:
        cache = RedisCountingCache(new_client(url, **limits), "songs")
        cache.open()
        return cache

    return make


@pytest.fixture
def cache(server: PrivateServer, new_cache: Callable[..., RedisCache]) -> RedisCache:
    """An open cache on `server`."""
    return new_cache(server.url)


@pytest.fixture
def limiter(server: PrivateServer, new_limiter: Callable[..., RedisLimiter]) -> RedisLimiter:
    """An open limiter on `server`."""
    return new_limiter(server.url)


@pytest.fixture
def new_relay() -> Iterator[Callable[[Callable[[bytes], bytes | None]], Relay]]:
    """Makes a server that answers what the test says."""
    made: list[Relay] = []

    def make(answer: Callable[[bytes], bytes | None]) -> Relay:
        made.append(Relay(answer))
        return made[-1]

    yield make
    for relay in made:
        relay.close()


@pytest.fixture
def new_relay_to(new_relay: Callable[..., Relay]) -> Callable[[PrivateServer], Relay]:
    """Makes a relay in front of a server, one connection for all; made for commands that come one at a time."""

    def make(server: PrivateServer) -> Relay:
        behind = socket.socket(socket.AF_UNIX)
        behind.connect(str(server.socket))

        def answer(asked: bytes) -> bytes:
            behind.sendall(asked)
            return behind.recv(1_000_000)

        relay = new_relay(answer)
        relay._open.append(behind)
        return relay

    return make


@pytest.fixture
def new_way(request: pytest.FixtureRequest) -> Callable[[PrivateServer], Way]:
    """Makes a way to a server, which may lead to another one later."""

    def make(server: PrivateServer) -> Way:
        way = Way(server.socket)
        request.addfinalizer(way.close)
        return way

    return make


@pytest.fixture(scope="session")
def in_time() -> Callable[[], AbstractContextManager[None]]:
    """Fails what takes longer than a call may."""

    @contextmanager
    def check() -> Iterator[None]:
        stopwatch = Stopwatch()
        yield
        assert stopwatch.took_s < PATIENCE_S

    return check


@pytest.fixture(scope="session")
def lease_of() -> Callable[[RedisCache, str, str], bytes]:
    """Returns a lease for an entry that is not there."""

    def lease(cache: RedisCache, group: str, key: str) -> bytes:
        found = cache.get(group, key)
        assert isinstance(found, Miss)
        assert found.lease is not None
        return found.lease

    return lease


@pytest.fixture(scope="session")
def put(lease_of: Callable[[RedisCache, str, str], bytes]) -> Callable[..., None]:
    """Fills an entry that is not there."""

    def fill(cache: RedisCache, group: str, key: str, value: bytes, *, ttl_s: float = 60.0) -> None:
        cache.fill(group, key, value, lease=lease_of(cache, group, key), ttl_s=ttl_s)

    return fill
