"""Servers that hang, die, and come back."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit
from songs_contract.harness.timing import eventually
from songs_plugins import AdapterContext
from songs_redis import RedisCache, RedisLimiter, RedisSettings, plugin
from songs_redis.client import CALL_S
from songs_redis.testing import PrivateServer

InTime = Callable[[], AbstractContextManager[None]]


@contextmanager
def _stopped(server: PrivateServer, *adapters: RedisCache | RedisLimiter) -> Iterator[None]:
    """Stop the server, while calls of these take no longer than the ports allow."""
    os.kill(server.pid, signal.SIGSTOP)
    patient_s = [each._client._call_s for each in adapters]
    for each in adapters:
        each._client._call_s = CALL_S
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)
        for each, call_s in zip(adapters, patient_s, strict=True):
            each._client._call_s = call_s


@pytest.mark.redis
def test_a_server_that_hangs(
    server: PrivateServer, clock: Any, cache: RedisCache, limiter: RedisLimiter, in_time: InTime
) -> None:
    """Every call ends in time with its own error, on connections that were open and on new ones."""
    cache.ping()
    limiter.hit("b", RateLimit(1, 60))
    with _stopped(server, cache, limiter):
        for _ in range(2):
            for call in (
                lambda: cache.get("g", "k"),
                lambda: cache.fill("g", "k", b"v", lease=b"l", ttl_s=60),
                lambda: cache.invalidate(["g"]),
                cache.ping,
            ):
                with in_time(), pytest.raises(CacheUnavailable):
                    call()
                clock.sleep(5)
            with in_time(), pytest.raises(LimiterUnavailable):
                limiter.hit("b", RateLimit(1, 60))
            clock.sleep(5)
    cache.ping()
    assert isinstance(cache.get("g", "k"), Miss)
    limiter.hit("b", RateLimit(1, 60))


def test_nobody_waits_twice(clock: Any, new_cache: Any, new_relay: Any) -> None:
    """After a failure calls fail without asking, for a second; then one of them asks."""
    relay = new_relay(lambda _asked: None)
    cache = new_cache(relay.url)
    for connections, pause_s in ((1, 0.0), (1, 0.9), (2, 0.1), (2, 1.9), (3, 0.1)):
        clock.sleep(pause_s)
        with pytest.raises(CacheUnavailable):
            cache.get("g", "k")
        eventually(lambda n=connections: relay.connections == n, within_s=5)  # type: ignore[misc]
    with pytest.raises(CacheUnavailable):
        cache.ping()
    eventually(lambda: relay.connections == 4, within_s=5)


def test_nobody_waits_for_the_limiter_and_then_for_the_cache(clock: Any, new_relay: Any) -> None:
    """What a service asks of one server goes through one circuit breaker."""
    relay = new_relay(lambda _asked: None)
    context = AdapterContext(clock=clock, ids=clock, concurrency=4)
    settings = RedisSettings(url=SecretStr(relay.url))
    with closing(plugin.counting_cache(settings, context)) as cache:
        cache.open()
        with pytest.raises(LimiterUnavailable):
            cache.hit("b", RateLimit(1, 60))
        with pytest.raises(CacheUnavailable):
            cache.get("g", "k")
    assert relay.connections == 1


@pytest.mark.redis
@pytest.mark.parametrize("connections", [1, 4])
def test_late_answers(server: PrivateServer, clock: Any, new_cache: Any, put: Any, connections: int) -> None:
    """What the server says to calls that gave up is taken for no later call's."""
    cache = new_cache(server.url, connections=connections)
    values = {f"k{n}": str(n).encode() * 50 for n in range(8)}
    for key, value in values.items():
        put(cache, "g", key, value)
    with _stopped(server, cache):
        for key in values:
            clock.sleep(5)
            with pytest.raises(CacheUnavailable):
                cache.get("g", key)
    clock.sleep(5)
    for _ in range(3):
        for key in reversed(values):
            assert cache.get("g", key) == Hit(values[key])


@pytest.mark.redis
def test_what_was_sent_to_a_hung_server(
    server: PrivateServer, clock: Any, cache: RedisCache, put: Any, lease_of: Any
) -> None:
    """A fill that went unanswered does no harm when the server takes it later: its lease is of before."""
    put(cache, "g", "k", b"old")
    late = lease_of(cache, "g", "late")
    with _stopped(server, cache):
        with pytest.raises(CacheUnavailable):
            cache.invalidate(["g"])
        clock.sleep(5)
        with pytest.raises(CacheUnavailable):
            cache.fill("g", "late", b"old", lease=late, ttl_s=60)
        clock.sleep(5)
    cache.invalidate(["g"])
    for key in ("k", "late"):
        assert isinstance(cache.get("g", key), Miss)
    cache.fill("g", "late", b"old", lease=late, ttl_s=60)
    assert isinstance(cache.get("g", "late"), Miss)


@pytest.mark.redis
def test_a_server_that_dies(
    server: PrivateServer, clock: Any, cache: RedisCache, limiter: RedisLimiter, in_time: InTime
) -> None:
    """Calls fail at once, and work again, on the first try, when it is back."""
    cache.get("g", "k")
    limiter.hit("b", RateLimit(9, 60))
    server.kill()
    with in_time(), pytest.raises(CacheUnavailable):
        cache.get("g", "k")
    with in_time(), pytest.raises(LimiterUnavailable):
        limiter.hit("b", RateLimit(9, 60))
    server.start()
    clock.sleep(1)
    assert isinstance(cache.get("g", "k"), Miss)
    assert limiter.hit("b", RateLimit(9, 60)).remaining == 8


@pytest.mark.redis
def test_a_restart_that_nobody_noticed(server: PrivateServer, cache: RedisCache) -> None:
    """Connections that the server closed are not used again: an invalidation does not fail for them."""
    threads = [threading.Thread(target=cache.get, args=("g", "k")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.kill()
    server.start()
    for _ in range(8):
        cache.invalidate(["g"])
