"""The former ports of `songs.ports.cache.CountingCache`, kept for one release.

Until then the service uses `together_with` of a cache that has it.
"""

import warnings
from typing import Protocol, runtime_checkable

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict

__all__ = ["JoinsLimiter", "Together"]

warnings.warn(
    "songs.ports.together is replaced: offer a songs.ports.cache.CountingCache", DeprecationWarning, stacklevel=2
)


@runtime_checkable
class Together(Protocol):
    """The former name of what has `CountingCache.count_and_get`."""

    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do what `CountingCache.count_and_get` does."""
        ...


@runtime_checkable
class JoinsLimiter(Protocol):
    """A cache that may be on one server with a limiter."""

    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Return what asks this cache and `limiter`; None where they have nothing in common."""
        ...
