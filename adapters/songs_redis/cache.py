"""The cache."""

import hashlib
import os
from collections.abc import Collection
from typing import Any, Final

from songs.errors import CacheUnavailable
from songs.ports.cache import CacheCapabilities, Hit, Miss
from songs_redis.client import Argument, Client, NotAnsweredError
from songs_redis.scripts import CACHE_FILL, CACHE_GET

FORMAT: Final = b"\x01"
"""What an entry begins with; another number when its layout changes."""
GENERATION_BYTES: Final = 16
GENERATION_TTL_MS: Final = 24 * 60 * 60 * 1000


class RedisCache:
    """Keeps bytes on a Redis server.

    A group is a random generation; an invalidation removes it, and the next `get` makes another. An entry holds the
    generation, and the run of the server, that it was filled under, and is a miss under any other. So neither a flush
    nor an eviction nor a restart from an old snapshot brings back what was invalidated.

    The time to live goes by the server's clock.

    Args:
        client: Asks the server; opened and closed by this.
        prefix: What all keys begin with.
    """

    capabilities = CacheCapabilities(shared=True)

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def open(self) -> None:
        self._client.open()

    def close(self) -> None:
        self._client.close()

    def ping(self) -> None:
        # Not PING: a replica, or a server that cannot save, answers that and refuses invalidations.
        self._call("UNLINK", f"{self._prefix}:ping", probe=True)

    def get(self, group: str, key: str) -> Hit | Miss:
        answer = self._call(
            "EVAL",
            CACHE_GET,
            2,
            self._generation_key(group),
            self._entry_key(group, key),
            os.urandom(GENERATION_BYTES),
            GENERATION_TTL_MS,
            FORMAT,
        )
        match answer:
            case [bytes(), bytes(value)]:
                return Hit(value)
            case [bytes(lease)]:
                return Miss(lease)
        raise CacheUnavailable("The cache gave an answer that makes no sense.")

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

    def invalidate(self, groups: Collection[str]) -> None:
        if groups:
            # One command is atomic, works whatever type a key has, and on a server that is full.
            self._call("UNLINK", *(self._generation_key(group) for group in groups))

    def _call(self, *command: Argument, probe: bool = False) -> Any:  # noqa: ANN401 - what the server says
        try:
            return self._client.call(command, probe=probe)
        except NotAnsweredError as error:
            msg = f"The cache does not answer. {error}"
            raise CacheUnavailable(msg) from error

    def _generation_key(self, group: str) -> str:
        return f"{self._prefix}:g:{_digest(group)}"

    def _entry_key(self, group: str, key: str) -> str:
        return f"{self._prefix}:e:{_digest(f'{len(group)}:{group}{key}')}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
