"""A cache and a limiter that can be asked together, where both are on one server. Optional."""

from typing import Protocol, runtime_checkable

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict


@runtime_checkable
class Together(Protocol):
    """One round trip in place of two, for a request that counts a hit and then reads an entry. Thread-safe.

    It is open while its cache and its limiter are.

    TOG-1: A hit is one of the limiter's own, on this bucket and limit: its verdict is what `RateLimiter.hit` would
        return, and hits of either kind share one count, however many threads make them at once.
    TOG-2: The entry is what `Cache.get` would return: that value, or a miss where `get` would miss.
    TOG-3: A lease that comes with a miss is as good as one of `Cache.get`, and no better: a fill with it counts unless
        the group was invalidated since it was handed out.
    TOG-4: The entry is read whether the hit is allowed or not.
    TOG-5: Where the limiter answers and the cache does not, the entry is None, and the hit is counted as ever.
    TOG-6: Where the limiter does not answer, `songs.errors.LimiterUnavailable` is raised, as LIM-6 has it, and nothing
        else, whatever becomes of the entry.
    TOG-7: `hit_and_get` takes one round trip to a server.
    TOG-10: The entry, or its miss, names the identity of the cache that answered, as that of `Cache.get` does.
    """

    def hit_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
        """Do what the limiter's `hit` and the cache's `get` do, and return what both say.

        Raises:
            LimiterUnavailable: The limiter does not answer; whether the hit was counted is unknown.
        """
        ...


@runtime_checkable
class JoinsLimiter(Protocol):
    """A cache that may be on one server with a limiter.

    TOG-8: For a limiter that is offered under the cache's own name, and was made with the same settings,
        `together_with` returns what asks both, whether they are open by then or not.
    TOG-9: For any other limiter, whatever it is, `together_with` returns what counts with that very limiter, or None;
        it does not raise.
    """

    def together_with(self, limiter: RateLimiter) -> Together | None:
        """Return what asks this cache and `limiter` together; None where they have nothing in common."""
        ...
