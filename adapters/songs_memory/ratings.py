"""The rating repository."""

from typing import Final

from songs.errors import KeyReused, SongNotFound
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_memory.rating_table import SongRatings
from songs_memory.view import View

_UNRATED: Final = RatingStats()


class MemoryRatings:
    """The ratings, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, rating: Rating) -> RatingReceipt:
        state = self._view.writing()
        table = state.ratings
        ratings = table.of_song.get(rating.song_id)
        if ratings is None:
            if rating.song_id not in state.songs.rows:
                raise SongNotFound
            ratings = SongRatings()
        elif ratings.has(rating.id):
            return RatingReceipt(ratings.stats, rating.id)
        earlier = table.keyed(rating)
        if earlier is not None:
            if (earlier.song_id, earlier.value) != (rating.song_id, rating.value):
                raise KeyReused
            return RatingReceipt(ratings.stats, earlier.id)
        table = table.plus(rating, ratings)
        self._view.stage(state.rated(table))
        return RatingReceipt(table.of_song[rating.song_id].stats, rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        state = self._view.reading()
        ratings = state.ratings.of_song.get(song_id)
        if ratings is not None:
            return ratings.stats
        return _UNRATED if song_id in state.songs.rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        ratings = self._view.reading().ratings.of_song.get(song_id)
        return () if ratings is None else ratings.page(limit=limit, after_id=after_id)
