"""Not defects: storages that are not written to their end, or say less of themselves than they can do."""

from dataclasses import replace

from songs.errors import StorageUnavailable
from songs_memory.repositories import MemoryRatings
from songs_memory.storage import MemoryStorage
from songs_memory.unit import MemoryUnit

from .planting import PlantedStorage, storage, unit


class _CannotBeOpened(PlantedStorage):
    def open(self) -> None:
        """Find no server."""
        raise StorageUnavailable("no server at the other end")

    def close(self) -> None:
        """Fail as well."""
        raise RuntimeError


cannot_be_opened = storage(_CannotBeOpened)


class _NoEvents:
    """Ratings of which one method is missing."""

    def __init__(self, view: MemoryUnit) -> None:
        real = MemoryRatings(view)
        self.add, self.stats = real.add, real.stats


lacks_a_method = unit(type("Planted", (MemoryUnit,), {"ratings": property(_NoEvents)}))


class _NotWritten(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[object, ...]:  # type: ignore[override]
        """Be written later."""
        raise NotImplementedError


lacks_a_body = unit(type("Planted", (MemoryUnit,), {"ratings": property(_NotWritten)}))


class _Modest(PlantedStorage):
    capabilities = replace(MemoryStorage.capabilities, snapshot_reads=False)


says_less_than_it_can = storage(_Modest)
