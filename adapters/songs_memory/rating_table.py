"""The ratings of one state."""

from dataclasses import dataclass, field, replace
from itertools import islice
from operator import attrgetter
from typing import Final, Self

from immutables import Map

from songs.model import Rating, RatingStats

TIDIED_AT_ONCE: Final = 200
"""Of how many ratings of songs that are gone a write removes the keys."""

_id = attrgetter("id")


class Events:
    """The rating events of one song, in the order in which they came: those of some state, and perhaps more.

    They only grow, and all states share them; how many are a state's own is part of the state. One writer at a time
    adds, and drops first what was added in a unit that was rolled back.
    """

    __slots__ = ("_ids", "_ratings")

    def __init__(self) -> None:
        self._ratings: list[Rating] = []
        self._ids: set[str] = set()

    def add(self, rating: Rating, count: int) -> None:
        """Add `rating` behind the first `count` events."""
        self._drop(count)
        self._ratings.append(rating)
        self._ids.add(rating.id)

    def has(self, rating_id: str, count: int) -> bool:
        """Return, to a writer, whether one of the first `count` events has this id."""
        self._drop(count)
        return rating_id in self._ids

    def first(self, count: int) -> list[Rating]:
        """Return the first `count` events."""
        return self._ratings[:count]

    def between(self, start: int, count: int) -> list[Rating]:
        """Return those of the first `count` events that come after the first `start`."""
        return self._ratings[start:count]

    def _drop(self, count: int) -> None:
        while len(self._ratings) > count:
            self._ids.discard(self._ratings.pop().id)


@dataclass(frozen=True, slots=True)
class SongRatings:
    """The rating events of one song and their statistics, which always agree. Immutable, as far as anyone can see."""

    stats: RatingStats = field(default_factory=RatingStats)
    count: int = 0
    shared: Events = field(default_factory=Events)

    def has(self, rating_id: str) -> bool:
        """Return whether an event has this id; for writers, one at a time."""
        return self.shared.has(rating_id, self.count)

    def plus(self, rating: Rating) -> Self:
        """Return these and one more; for writers, one at a time."""
        self.shared.add(rating, self.count)
        return type(self)(self.stats.plus(rating.value), self.count + 1, self.shared)

    def page(self, *, limit: int, after_id: str | None) -> tuple[Rating, ...]:
        """Return at most `limit` events with an id greater than `after_id`, ordered by id."""
        # They came nearly in order, so that sorting them is little more than a look at each.
        ordered = sorted(self.events(), key=_id)
        return tuple(islice((one for one in ordered if after_id is None or one.id > after_id), limit))

    def events_from(self, start: int) -> list[Rating]:
        """Return the events from the one at `start` on; from the first where that is negative."""
        return self.shared.between(max(start, 0), self.count)

    def events(self) -> list[Rating]:
        """Return all events, in no order."""
        return self.shared.first(self.count)


@dataclass(frozen=True, slots=True)
class RatingTable:
    """Ratings by song, and the keyed ones by user and key. Songs without ratings are absent. Immutable.

    Keys of songs that are gone stay in `keys` for a while, where nobody sees them: removing a song takes as long as
    one without ratings, and each write after it removes some of what it left.
    """

    of_song: Map[str, SongRatings] = field(default_factory=Map)
    keys: Map[tuple[str, str], Rating] = field(default_factory=Map)
    leftovers: tuple[SongRatings, ...] = ()

    def get(self, song_id: str) -> SongRatings:
        """Return the ratings of a song."""
        return self.of_song.get(song_id) or SongRatings()

    def keyed(self, rating: Rating) -> Rating | None:
        """Return, to a writer, the rating to which the user and key of `rating` belong, or None."""
        earlier = None if rating.key is None else self.keys.get((rating.user_id, rating.key))
        if earlier is None:
            return None
        ratings = self.of_song.get(earlier.song_id)
        return earlier if ratings is not None and ratings.has(earlier.id) else None

    def plus(self, rating: Rating, ratings: SongRatings | None = None) -> Self:
        """Return the table with one more rating, whose id and key are new to it; `ratings` are its song's so far."""
        after = (self.get(rating.song_id) if ratings is None else ratings).plus(rating)
        table = self.tidied() if self.leftovers else self
        keys = table.keys if rating.key is None else table.keys.set((rating.user_id, rating.key), rating)
        return type(self)(self.of_song.set(rating.song_id, after), keys, table.leftovers)

    def minus_song(self, song_id: str) -> Self:
        """Return the table without the ratings of a song, of whose keys nobody sees any."""
        ratings = self.of_song.get(song_id)
        if ratings is None:
            return self
        return type(self)(self.of_song.delete(song_id), self.keys, (*self.leftovers, ratings)).tidied()

    def tidied(self) -> Self:
        """Return the table without some keys of songs that are gone, if there are any."""
        *rest, last = self.leftovers
        keys = self.keys
        for rating in last.events_from(last.count - TIDIED_AT_ONCE):
            # It may have been given to another rating since.
            if rating.key is not None and keys.get((rating.user_id, rating.key)) is rating:
                keys = keys.delete((rating.user_id, rating.key))
        left = last.count - TIDIED_AT_ONCE
        return type(self)(self.of_song, keys, (*rest, replace(last, count=left)) if left > 0 else tuple(rest))
