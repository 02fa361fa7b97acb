"""The module of the entry point ``redis``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from songs.ports.limiter import LimiterCapabilities
from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_redis.cache import RedisCountingCache
from songs_redis.client import Client, RedisSettings
from songs_redis.testing import PrivateServer, faults


def counting_cache(settings: RedisSettings, context: AdapterContext) -> RedisCountingCache:
    """Return the cache and limiter of these settings, not open yet."""
    # As many as callers of a cache and of a limiter, and one more, so that a readiness check does not wait for them.
    client = Client(settings, context.clock, connections=2 * context.concurrency + 1, meter=context.meter)
    return RedisCountingCache(client, settings.prefix)


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
            factory=counting_cache,
            settings=RedisSettings,
            capabilities=RedisCountingCache.capabilities,
            sandbox=sandbox,
            faults=faults,
        ),
        AdapterSpec(
            port=Port.LIMITER,
            name="redis",
            summary="a Redis server: all processes count together",
            factory=counting_cache,
            settings=RedisSettings,
            capabilities=LimiterCapabilities(shared=True),
            sandbox=sandbox,
            faults=faults,
        ),
    ]
