"""A cache entry that is read in the round trip that counts the request."""

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, Verdict
from songs.ports.together import Together


class Prefetched:
    """One request: counts it, and brings along the entry that it will read.

    Args:
        together: Asks limiter and cache.
        group: What of the cache it reads.
        entry: The entry's name there, as far as can be told now.
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
