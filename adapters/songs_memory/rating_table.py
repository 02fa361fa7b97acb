"""The ratings of one state."""

from __future__ import annotations  # rpds' types cannot be subscripted at run time

from dataclasses import dataclass, field
from typing import Self

from rpds import HashTrieMap

from songs.model import Rating, RatingStats
from songs_memory.sorted_ids import SortedIds


@dataclass(frozen=True, slots=True)
class SongRatings:
    """The rating events of one song and their statistics, which always agree."""

    stats: RatingStats = field(default_factory=RatingStats)
    order: SortedIds = field(default_factory=SortedIds)
    events: HashTrieMap[str, Rating] = field(default_factory=HashTrieMap)

    def plus(self, rating: Rating) -> Self:
        """Return these and one more."""
        return type(self)(
            self.stats.plus(rating.value), self.order.plus((rating.id,)), self.events.insert(rating.id, rating)
        )


@dataclass(frozen=True, slots=True)
class RatingTable:
    """Ratings by song, and the keyed ones by user and key. Songs without ratings are absent. Immutable."""

    of_song: HashTrieMap[str, SongRatings] = field(default_factory=HashTrieMap)
    keys: HashTrieMap[tuple[str, str], Rating] = field(default_factory=HashTrieMap)

    def get(self, song_id: str) -> SongRatings:
        """Return the ratings of a song."""
        return self.of_song.get(song_id) or SongRatings()

    def keyed(self, rating: Rating) -> Rating | None:
        """Return the rating to which the user and key of `rating` belong, or None."""
        return None if rating.key is None else self.keys.get((rating.user_id, rating.key))

    def plus(self, rating: Rating) -> Self:
        """Return the table with one more rating, whose id and key are new to it."""
        ratings = self.get(rating.song_id).plus(rating)
        keys = self.keys if rating.key is None else self.keys.insert((rating.user_id, rating.key), rating)
        return type(self)(self.of_song.insert(rating.song_id, ratings), keys)

    def minus_song(self, song_id: str) -> Self:
        """Return the table without the ratings of a song, and without their keys."""
        ratings = self.of_song.get(song_id)
        if ratings is None:
            return self
        keys = self.keys
        for rating in ratings.events.values():
            if rating.key is not None:
                keys = keys.remove((rating.user_id, rating.key))
        return type(self)(self.of_song.remove(song_id), keys)
