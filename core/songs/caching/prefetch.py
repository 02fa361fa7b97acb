"""A cache entry that is read in the round trip that counts the request."""

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, Verdict
from songs.ports.together import Together


class Prefetched:
    """Counts one request, and fetches the cache entry that it will read in the same round trip.

    Args:
        together: Asks limiter and cache.
        group: The cache group of the entry.
        entry: The expected name of the entry in its group.
    """

    __slots__ = ("_entry", "_found", "_group", "_together")

    def __init__(self, together: Together, group: str, entry: str) -> None:
        self._together = together
        self._group = group
        self._entry = entry
        self._found: Hit | Miss | None = None

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit, as `RateLimiter.hit` does.

        Raises:
            LimiterUnavailable: The limiter does not answer.
        """
        verdict, self._found = self._together.hit_and_get(bucket, limit, self._group, self._entry)
        return verdict

    def take(self, group: str, entry: str) -> Hit | Miss | None:
        """Return what was brought along, if it is this entry."""
        return self._found if (self._group, self._entry) == (group, entry) else None
