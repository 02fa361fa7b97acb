"""The module of the entry point ``redis``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from songs.ports.limiter import LimiterCapabilities
from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_redis.breaker import shared
from songs_redis.cache import RedisCache
from songs_redis.client import Client, RedisSettings
from songs_redis.limiter import RedisLimiter
from songs_redis.testing import PrivateServer, faults


def cache(settings: RedisSettings, context: AdapterContext) -> RedisCache:
    """Return the cache of these settings, not open yet."""
    return RedisCache(_client(settings, context), settings.prefix)


def limiter(settings: RedisSettings, context: AdapterContext) -> RedisLimiter:
    """Return the limiter of these settings, not open yet."""
    return RedisLimiter(_client(settings, context), settings.prefix)


def _client(settings: RedisSettings, context: AdapterContext) -> Client:
    # One connection more than there are callers, so that a readiness check does not wait for them.
    breaker = partial(shared, settings.url.get_secret_value(), context.meter)
    return Client(settings, context.clock, connections=context.concurrency + 1, new_breaker=breaker)


@contextmanager
def sandbox(folder: Path) -> Iterator[RedisSettings]:
    """Yield settings for a server of one's own, which ends at the end.

    Raises:
        ServerNotStartedError: There is no redis-server on the PATH.
    """
    server = PrivateServer(folder)
    try:
        server.start()
        yield RedisSettings(url=SecretStr(server.url))
    finally:
        server.remove()


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return cache and limiter."""
    return [
        AdapterSpec(
            port=Port.CACHE,
            name="redis",
            summary="a Redis server, for any number of processes",
            factory=cache,
            settings=RedisSettings,
            capabilities=RedisCache.capabilities,
            sandbox=sandbox,
            faults=faults,
        ),
        AdapterSpec(
            port=Port.LIMITER,
            name="redis",
            summary="a Redis server: all processes count together",
            factory=limiter,
            settings=RedisSettings,
            capabilities=LimiterCapabilities(shared=True),
            sandbox=sandbox,
            faults=faults,
        ),
    ]
