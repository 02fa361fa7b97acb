"""The adapters named ``memory``."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from songs.ports.limiter import LimiterCapabilities
from songs_memory.cache import MemoryCache
from songs_memory.limiter import MemoryLimiter
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterContext, AdapterSpec, NoSettings, Port, hookimpl


class MemoryCacheSettings(BaseModel):
    """The settings of the cache in memory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache_max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=0, description="How many bytes the cache in memory keeps at most."
    )


def _storage(settings: NoSettings, context: AdapterContext) -> MemoryStorage:
    return MemoryStorage()


def _cache(settings: MemoryCacheSettings, context: AdapterContext) -> MemoryCache:
    return MemoryCache(context.clock, max_bytes=settings.cache_max_bytes)


def _limiter(settings: NoSettings, context: AdapterContext) -> MemoryLimiter:
    return MemoryLimiter(context.clock)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return storage, cache and limiter."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="memory",
            summary="in this process's memory: fast, not durable; everything is lost when the process ends",
            factory=_storage,
            capabilities=MemoryStorage.capabilities,
        ),
        AdapterSpec(
            port=Port.CACHE,
            name="memory",
            summary="in this process's memory: for one process",
            factory=_cache,
            settings=MemoryCacheSettings,
            capabilities=MemoryCache.capabilities,
        ),
        AdapterSpec(
            port=Port.LIMITER,
            name="memory",
            summary="in this process's memory: every process counts for itself",
            factory=_limiter,
            capabilities=LimiterCapabilities(shared=False),
        ),
    ]
