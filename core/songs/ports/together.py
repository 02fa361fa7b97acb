"""A cache and a limiter that can be asked together, where both are on one server. Optional."""

from typing import Protocol, runtime_checkable

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict


@runtime_checkable
class Together(Protocol):
    """One round trip in place of two, for a request that counts a hit and then reads an entry. Thread-safe.

    It is open as long as the cache and the limiter are of which it was made.
    """

    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do what the limiter's `hit` and then the cache's `get` do, and return what both say.

        The entry is read whether the hit is allowed or not; it is None where the cache cannot answer.

        Raises:
            LimiterUnavailable: The limiter does not answer; whether the hit was counted is unknown.
        """
        ...


@runtime_checkable
class JoinsLimiter(Protocol):
    """A cache that may be on one server with a limiter."""

    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Return what asks this cache and `limiter` together; None where they have nothing in common."""
        ...
