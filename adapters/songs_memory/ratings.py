"""The rating repository."""

from dataclasses import replace

from songs.errors import KeyReused, SongNotFound
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_memory.view import View


class MemoryRatings:
    """The ratings, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, rating: Rating) -> RatingReceipt:
        state = self._view.writing()
        if rating.song_id not in state.songs.rows:
            raise SongNotFound
        ratings = state.ratings.get(rating.song_id)
        if rating.id in ratings.events:
            return RatingReceipt(ratings.stats, rating.id)
        earlier = state.ratings.keyed(rating)
        if earlier is not None:
            if (earlier.song_id, earlier.value) != (rating.song_id, rating.value):
                raise KeyReused
            return RatingReceipt(ratings.stats, earlier.id)
        table = state.ratings.plus(rating)
        self._view.stage(replace(state, ratings=table))
        return RatingReceipt(table.get(rating.song_id).stats, rating.id)

    def stats(self, song_id: str) -> RatingStats | None:
        state = self._view.reading()
        return state.ratings.get(song_id).stats if song_id in state.songs.rows else None

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        ratings = self._view.reading().ratings.get(song_id)
        ids = ratings.order.page(limit=limit, after_id=after_id)
        return tuple(ratings.events[rating_id] for rating_id in ids)
