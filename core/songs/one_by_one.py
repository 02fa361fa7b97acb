"""Reads of many records, one after the other: a fallback for storages without `songs.ports.batches`."""

from collections.abc import Collection, Mapping
from typing import Final

from songs.limits import is_id
from songs.model import Song, User
from songs.ports.batches import Batches, BatchingUnit, RatedSong
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter

_BEYOND_ALL_IDS: Final = "\x7f"


def batches_of(unit: UnitOfWork) -> Batches:
    """Return what reads many records of this unit at once, as well as its storage can."""
    return unit.batches if isinstance(unit, BatchingUnit) else OneByOne(unit)


class OneByOne:
    """Reads a unit's repositories, one record after the other; a `Batches` except for BAT-4."""

    __slots__ = ("_unit",)

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        """Get each song."""
        found = {song_id: self._unit.songs.get(song_id) for song_id in filter(is_id, song_ids)}
        return {song_id: song for song_id, song in found.items() if song is not None}

    def meeting(self, pairs: Collection[tuple[str, SongFilter]]) -> frozenset[tuple[str, SongFilter]]:
        """Find each song by each of its filters."""
        return frozenset(pair for pair in pairs if is_id(pair[0]) and self._meets(*pair))

    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        """Read the ratings and then the statistics of each song."""
        ratings = self._unit.ratings
        found: dict[str, RatedSong] = {}
        for song_id in song_ids:
            events = ratings.of_song(song_id, limit=limit) if limit else ()
            stats = ratings.stats(song_id)
            if stats is not None:
                found[song_id] = RatedSong(stats, events)
        return found

    def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        """Get each user."""
        found = {user_id: self._unit.users.get(user_id) for user_id in user_ids}
        return {user_id: user for user_id, user in found.items() if user is not None}

    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        """Look up each name."""
        found = {name: self._unit.users.by_name(name) for name in names}
        return {name: user for name, user in found.items() if user is not None}

    def _meets(self, song_id: str, song_filter: SongFilter) -> bool:
        # No id lies between this text and `song_id`, so the song is the first of all that are found behind it.
        before = song_id[:-1] + chr(ord(song_id[-1]) - 1) + _BEYOND_ALL_IDS
        return [song.id for song in self._unit.songs.find(song_filter, limit=1, after_id=before)] == [song_id]
