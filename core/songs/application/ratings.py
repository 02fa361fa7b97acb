"""Ratings and their statistics."""

from dataclasses import dataclass

from songs.application.changes import Changes, stats_group
from songs.application.runner import UnitRunner
from songs.errors import SongNotFound
from songs.limits import is_id
from songs.model import Rating, RatingStats, whole_milliseconds
from songs.ports.clock import Clock, Deadline
from songs.ports.ids import IdGenerator


@dataclass(frozen=True, slots=True)
class Rated:
    """The current statistics of the song, and whether an earlier request with the same key stored the rating."""

    stats: RatingStats
    replayed: bool


class Ratings:
    """Stores ratings and reads statistics. Raises `songs.errors.Unavailable` when the storage does not respond."""

    def __init__(self, runner: UnitRunner, changes: Changes, ids: IdGenerator, clock: Clock) -> None:
        self._runner = runner
        self._changes = changes
        self._ids = ids
        self._clock = clock

    def rate(self, *, user_id: str, song_id: str, value: int, key: str | None = None, deadline: Deadline) -> Rated:
        """Store one rating and return the song's statistics, which include it.

        Without a key every call is a rating of its own. With one, the same key of the same user stores one rating.

        Raises:
            SongNotFound: There is no such song.
            KeyReused: The key belongs to a rating of another song or value.
            InvalidInput: The value or the key is out of its limits.
        """
        if not is_id(song_id):
            raise SongNotFound
        # The id is made before the first attempt: that is what makes repeated attempts store one event.
        rating = Rating(
            id=self._ids.new_id(),
            song_id=song_id,
            user_id=user_id,
            value=value,
            rated_at=whole_milliseconds(self._clock.now()),
            key=key,
        )
        receipt = self._runner.write(
            lambda unit: unit.ratings.add(rating),
            deadline=deadline,
            after_commit=lambda: self._changes.publish_write((stats_group(song_id),)),
        )
        return Rated(receipt.stats, replayed=receipt.rating_id != rating.id)

    def stats(self, song_id: str, *, deadline: Deadline) -> RatingStats:
        """Return the song's statistics.

        Raises:
            SongNotFound: There is no such song.
        """
        if not is_id(song_id):
            raise SongNotFound
        stats = self._runner.read(lambda unit: unit.ratings.stats(song_id), deadline=deadline)
        if stats is None:
            raise SongNotFound
        return stats
