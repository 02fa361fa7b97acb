"""The adapters named ``none``: a cache that keeps nothing and a limiter that allows everything."""

from collections.abc import Collection, Sequence

from songs.ports.cache import CacheCapabilities, Hit, Miss
from songs.ports.limiter import LimiterCapabilities, RateLimit, Verdict
from songs_plugins.spec import AdapterContext, AdapterSpec, NoSettings, Port, hookimpl


class NoCache:
    """A cache in which nothing is ever found."""

    capabilities = CacheCapabilities(shared=True, keeps=False)

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def ping(self) -> str:
        """Return no identity: there is nothing to agree about."""
        return ""

    def get(self, group: str, key: str) -> Hit | Miss:
        """Return a miss that there is no use in filling."""
        return Miss(lease=None)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Do nothing."""

    def invalidate(self, groups: Collection[str]) -> str:
        """Do nothing."""
        return ""


class NoLimiter:
    """A limiter without limits."""

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Allow it."""
        return Verdict(allowed=True, remaining=limit.amount, reset_s=float(limit.window_s), window="none")

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Do nothing."""


def _cache(settings: NoSettings, context: AdapterContext) -> NoCache:
    return NoCache()


def _limiter(settings: NoSettings, context: AdapterContext) -> NoLimiter:
    return NoLimiter()


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the cache and the limiter."""
    return [
        AdapterSpec(
            port=Port.CACHE,
            name="none",
            summary="no cache: every read asks the storage",
            factory=_cache,
            capabilities=NoCache.capabilities,
        ),
        AdapterSpec(
            port=Port.LIMITER,
            name="none",
            summary="no limits",
            factory=_limiter,
            capabilities=LimiterCapabilities(shared=True, limits=False),
        ),
    ]
