"""A cache entry that is read in the round trip that counts the request."""

from songs.ports.cache import CountAndGet, Hit, Miss
from songs.ports.limiter import RateLimit, Verdict


class Prefetched:
    """Counts one request, and fetches the cache entry that it will read in the same round trip.

    Args:
        count_and_get: Asks the counting cache.
        group: The cache group of the entry.
        entry: The expected name of the entry in its group.
    """

    __slots__ = ("_count_and_get", "_entry", "_found", "_group")

    def __init__(self, count_and_get: CountAndGet, group: str, entry: str) -> None:
        self._count_and_get = count_and_get
        self._group = group
        self._entry = entry
        self._found: Hit | Miss | None = None

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit, as `RateLimiter.hit` does.

        Raises:
            LimiterUnavailable: The limiter does not answer.
        """
        verdict, self._found = self._count_and_get(bucket, limit, self._group, self._entry)
        return verdict

    def take(self, group: str, entry: str) -> Hit | Miss | None:
        """Return what was brought along, if it is this entry."""
        return self._found if (self._group, self._entry) == (group, entry) else None
