"""The cache, and the same with the limiter."""

import hashlib
import os
from collections.abc import Collection
from typing import Any, Final

from songs.errors import CacheUnavailable
from songs.ports.cache import CacheCapabilities, Hit, Miss
from songs.ports.limiter import RateLimit, Verdict
from songs_redis.client import Client, NotAnsweredError
from songs_redis.limiter import RedisLimiter, unavailable, verdict_of
from songs_redis.scripts import CACHE_FILL, CACHE_GET, CACHE_INVALIDATE
from songs_redis.wire import Command

FORMAT: Final = b"\x01"
"""The beginning of an entry; another number when its layout changes."""
RANDOM_BYTES: Final = 15
"""The random part of a generation; a character precedes it."""
GENERATION_BYTES: Final = 16
GENERATION_TTL_MS: Final = 24 * 60 * 60 * 1000


class RedisCache:
    """Keeps bytes on a Redis server.

    A group is a random generation; an invalidation removes it, and the next `get` makes another. An entry holds the
    generation, and the run of the server, that it was filled under, and is a miss under any other. So neither a flush
    nor an eviction nor a restart from an old snapshot nor a dump that is loaded brings back what was invalidated.

    Its identity is made of the run of the server as a primary, the database and the prefix. How the server is reached
    plays no part. The time to live goes by the server's clock.

    Args:
        client: Asks the server; opened and closed by this.
        prefix: What all keys begin with.
    """

    capabilities = CacheCapabilities(shared=True)

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._place = f"redis {client.database} {prefix}"
        self._known = ""

    def open(self) -> None:
        self._client.open()

    def close(self) -> None:
        self._client.close()

    def ping(self) -> str:
        # Not PING: a replica, or a server that cannot save, answers that and refuses invalidations.
        command = self._invalidate_command(f"{self._prefix}:ping")
        identity = self._identified(self._call(*command, probe=True))
        if identity != self._known:
            # The connections of before may lead to a server that others do not use any more.
            self._client.forget_idle()
            self._known = identity
        return identity

    def get(self, group: str, key: str) -> Hit | Miss:
        return self._found(self._call(*self._get_command(group, key)))

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        ttl_ms = int(ttl_s * 1000)
        if ttl_ms <= 0:
            return
        self._call(
            "EVAL",
            CACHE_FILL,
            2,
            self._generation_key(group),
            self._entry_key(group, key),
            lease,
            b"".join((FORMAT, lease, value)),
            ttl_ms,
            max(ttl_ms, GENERATION_TTL_MS),
        )

    def invalidate(self, groups: Collection[str]) -> str:
        if not groups:
            return ""
        return self._identified(self._call(*self._invalidate_command(*map(self._generation_key, groups))))

    def _get_command(self, group: str, key: str) -> Command:
        return (
            "EVAL",
            CACHE_GET,
            2,
            self._generation_key(group),
            self._entry_key(group, key),
            os.urandom(RANDOM_BYTES),
            GENERATION_TTL_MS,
            FORMAT,
        )

    def _invalidate_command(self, *keys: str) -> Command:
        return ("EVAL", CACHE_INVALIDATE, len(keys), *keys)

    def _found(self, answer: object) -> Hit | Miss:
        match answer:
            case [bytes(lease), bytes(value)] if len(lease) > GENERATION_BYTES:
                return Hit(value, self._identified(lease[:-GENERATION_BYTES]))
            case [bytes(lease)] if len(lease) > GENERATION_BYTES:
                return Miss(lease, self._identified(lease[:-GENERATION_BYTES]))
        raise CacheUnavailable("The cache gave an answer that makes no sense.")

    def _identified(self, primary: object) -> str:
        match primary:
            case bytes() if primary.isalnum():
                identity = f"{self._place} {primary.decode('ascii')}"
                if identity != self._known:
                    # Some connections may lead elsewhere than others: the next ping forgets them all.
                    self._known = ""
                return identity
        raise CacheUnavailable("The cache gave an answer that makes no sense.")

    def _call(self, *command: str | bytes | int, probe: bool = False) -> Any:  # noqa: ANN401 - what the server says
        try:
            return self._client.call(command, probe=probe)
        except NotAnsweredError as error:
            msg = f"The cache does not answer. {error}"
            raise CacheUnavailable(msg) from error

    def _generation_key(self, group: str) -> str:
        return f"{self._prefix}:g:{_digest(group)}"

    def _entry_key(self, group: str, key: str) -> str:
        return f"{self._prefix}:e:{_digest(f'{len(group)}:{group}{key}')}"


class RedisCountingCache(RedisCache, RedisLimiter):
    """Cache and limiter on one Redis server, with the same connections.

    Args:
        client: Asks the server; opened and closed by this.
        prefix: What all keys begin with.
    """

    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        try:
            hit, got = self._client.calls((self._hit_command(bucket, limit), self._get_command(group, key)))
        except NotAnsweredError as error:
            raise unavailable(error) from error
        verdict = verdict_of(hit)
        try:
            return verdict, self._found(got)
        except CacheUnavailable:
            return verdict, None


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
