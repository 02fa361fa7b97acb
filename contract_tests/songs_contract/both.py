"""A cache and a limiter that are asked together: what the suites about that share."""

from dataclasses import dataclass
from typing import Final

from songs.ports.cache import Cache, Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs.ports.together import JoinsLimiter, Together

LIMIT: Final = RateLimit(5, 60)
PLENTY: Final = RateLimit(1000, 60)
TTL_S: Final = 60.0


@dataclass(frozen=True)
class Both:
    """A cache, a limiter, and what asks them together."""

    cache: Cache
    limiter: RateLimiter
    together: Together

    def hit(self, bucket: str = "bucket", limit: RateLimit = LIMIT) -> Verdict:
        """Count a hit, whatever the entry is."""
        return self.together.hit_and_get(bucket, limit, "group", "key")[0]

    def get(self, group: str = "group", key: str = "key", bucket: str = "of entries") -> Hit | Miss:
        """Return an entry, for a hit that is allowed."""
        found = self.together.hit_and_get(bucket, PLENTY, group, key)[1]
        assert found is not None, "the cache can answer"
        return found

    def lease(self) -> bytes:
        """Return a lease for the entry, which is not there."""
        found = self.get()
        assert isinstance(found, Miss), f"it is there: {found}"
        assert found.lease is not None
        return found.lease

    def put(self, value: bytes, key: str = "key", ttl_s: float = TTL_S) -> None:
        """Fill an entry of the group that is not there, by means of the cache alone."""
        found = self.cache.get("group", key)
        assert isinstance(found, Miss)
        assert found.lease is not None
        self.fill(value, found.lease, key, ttl_s)

    def fill(self, value: bytes, lease: bytes, key: str = "key", ttl_s: float = TTL_S) -> None:
        """Fill an entry of the group with a lease."""
        self.cache.fill("group", key, value, lease=lease, ttl_s=ttl_s)


def joined(cache: Cache, limiter: RateLimiter) -> Together | None:
    """Return what asks both, if there is something."""
    assert isinstance(cache, JoinsLimiter)
    return cache.together_with(limiter)
