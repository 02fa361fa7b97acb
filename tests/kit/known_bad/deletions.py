"""Storages that delete songs with many ratings slowly, or not wholly."""

import time

from songs.errors import KeyReused
from songs.model import Rating
from songs.ports.ratings import RatingReceipt
from songs_memory.repositories import MemoryRatings, MemorySongs

from .planting import memory_of, repositories

ENOUGH = 1000
"""So many ratings are removed at once."""


class _OneByOne(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Ask a server for each rating, as far away as the next machine."""
        for _ in self._view.reading().ratings.get(song_id).events():
            time.sleep(0.005)
            self._view.reading()
        return super().delete(song_id, if_version=if_version)


each_rating_is_removed_alone = repositories(songs=_OneByOne)


class _KeepsKeys(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Leave the keys of what is removed later where they are looked for."""
        left = self._view.reading().ratings.get(song_id).events()[ENOUGH:]
        taken = {(each.user_id, each.key) for each in left if each.key is not None}
        memory_of(self._view).setdefault("taken", set()).update(taken)
        return super().delete(song_id, if_version=if_version)


class _LooksForKeys(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Find the keys of songs that are gone."""
        if (rating.user_id, rating.key) in memory_of(self._view).get("taken", ()):
            self._view.writing()
            raise KeyReused
        return super().add(rating)


keys_are_free_later = repositories(songs=_KeepsKeys, ratings=_LooksForKeys)


class _ByTheId(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Remove what fits into one step."""
        left = self._view.reading().ratings.get(song_id).events()[ENOUGH:]
        memory_of(self._view)[song_id] = tuple(left)
        return super().delete(song_id, if_version=if_version)


class _FindsThem(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Return whatever stands under the id."""
        return (*memory_of(self._view).get(song_id, ()), *super().of_song(song_id, limit=limit, after_id=after_id))


orphans_come_back_with_the_id = repositories(songs=_ByTheId, ratings=_FindsThem)
