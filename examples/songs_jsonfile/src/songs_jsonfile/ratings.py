"""The ratings."""

from typing import TYPE_CHECKING

from songs.errors import SongNotFound
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_jsonfile.changes import Put
from songs_plugins.decisions import check_key
from songs_plugins.values import clamped

if TYPE_CHECKING:
    from songs_jsonfile.unit import Unit


class JsonFileRatings:
    """The ratings, in one unit of work. What is written is the event; the statistics follow from the events."""

    def __init__(self, unit: "Unit") -> None:
        self._unit = unit

    def add(self, rating: Rating) -> RatingReceipt:
        with self._unit.write() as state:
            events = state.events.get(rating.song_id)
            if events is None:
                raise SongNotFound
            earlier = events.get(rating.id)
            if earlier is None and rating.key is not None:
                earlier = state.rating_of_key(rating.user_id, rating.key)
                if earlier is not None:
                    check_key(rating, song_id=earlier.song_id, value=earlier.value)
            if earlier is None:
                self._unit.record(Put((rating,)))
            return RatingReceipt(state.stats[rating.song_id], (earlier or rating).id)

    def stats(self, song_id: str) -> RatingStats | None:
        with self._unit.read() as state:
            return state.stats.get(song_id)

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        with self._unit.read() as state:
            events = state.events.get(song_id, {})
            ids = sorted(each for each in events if after_id is None or each > after_id)
            return tuple(events[each] for each in ids[: clamped(limit)])
