"""Immutable tables of songs, ratings, users and sessions: a write makes another one that shares most with it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Final, Self

from immutables import Map

from songs.model import DifficultyTotals, Rating, RatingStats, Session, Song, SongIdentity, User
from songs.query import SongFilter
from songs_memory.search import FoundSongs, SongSearch, StoredSong
from songs_memory.sorted_items import SortedItems
from songs_plugins.values import clamped

_NONE: Final = SortedItems[str](str)


@dataclass(frozen=True, slots=True)
class UserTable:
    """Users by id, by name and in order. Immutable."""

    rows: Map[str, User] = field(default_factory=Map)
    names: Map[str, str] = field(default_factory=Map)
    order: SortedItems[str] = _NONE

    def plus(self, user: User) -> Self:
        """Return the table with one more user, whose id and name are new to it."""
        return type(self)(
            self.rows.set(user.id, user), self.names.set(user.name_key, user.id), self.order.plus((user.id,))
        )

    def changed(self, user: User) -> Self:
        """Return the table with the new state of a user whose name is still the same."""
        return type(self)(self.rows.set(user.id, user), self.names, self.order)

    def minus(self, user: User) -> Self:
        """Return the table without a user."""
        return type(self)(self.rows.delete(user.id), self.names.delete(user.name_key), self.order.minus(user.id))


@dataclass(frozen=True, slots=True)
class SessionTable:
    """Sessions by id, by user, and in the order in which they expire. Immutable."""

    rows: Map[str, Session] = field(default_factory=Map)
    of_user: Map[str, SortedItems[str]] = field(default_factory=Map)
    expiries: SortedItems[str] = _NONE

    def plus(self, session: Session) -> Self:
        """Return the table with one more session, whose id is new to it."""
        sessions = self.of_user.get(session.user_id, _NONE).plus((session.id,))
        return type(self)(
            self.rows.set(session.id, session),
            self.of_user.set(session.user_id, sessions),
            self.expiries.plus((_expiry(session.expires_at, session.id),)),
        )

    def changed(self, session: Session) -> Self:
        """Return the table with the new state of a session whose user and expiry are still the same."""
        return type(self)(self.rows.set(session.id, session), self.of_user, self.expiries)

    def minus(self, *sessions: Session) -> Self:
        """Return the table without these sessions."""
        table = self
        for session in sessions:
            rest = table.of_user[session.user_id].minus(session.id)
            table = type(self)(
                table.rows.delete(session.id),
                table.of_user.set(session.user_id, rest) if rest else table.of_user.delete(session.user_id),
                table.expiries.minus(_expiry(session.expires_at, session.id)),
            )
        return table

    def of(self, user_id: str, *, limit: int, keep_id: str | None = None) -> list[Session]:
        """Return at most `limit` sessions of a user, none of them `keep_id`."""
        ids = self.of_user.get(user_id, _NONE).page(limit=limit + 1)
        return [self.rows[session_id] for session_id in ids if session_id != keep_id][:limit]

    def expired(self, at: datetime, limit: int) -> list[Session]:
        """Return at most `limit` sessions that have expired at `at`, those that expired first."""
        first = self.expiries.page(limit=limit)
        sessions = (self.rows[entry.partition(" ")[2]] for entry in first)
        return [session for session in sessions if session.expires_at <= at]


def _expiry(at: datetime, session_id: str) -> str:
    # ISO 8601 with four digits of year sorts as text as the times do.
    return f"{at.isoformat(timespec='milliseconds')} {session_id}"


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
        return tuple(islice((one for one in ordered if after_id is None or one.id > after_id), clamped(limit)))

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
    orphans: tuple[SongRatings, ...] = ()

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
        table = self.tidied() if self.orphans else self
        keys = table.keys if rating.key is None else table.keys.set((rating.user_id, rating.key), rating)
        return type(self)(self.of_song.set(rating.song_id, after), keys, table.orphans)

    def minus_song(self, song_id: str) -> Self:
        """Return the table without the ratings of a song, of whose keys nobody sees any."""
        ratings = self.of_song.get(song_id)
        if ratings is None:
            return self
        return type(self)(self.of_song.delete(song_id), self.keys, (*self.orphans, ratings)).tidied()

    def tidied(self) -> Self:
        """Return the table without some keys of songs that are gone, if there are any."""
        *rest, last = self.orphans
        keys = self.keys
        for rating in last.events_from(last.count - TIDIED_AT_ONCE):
            # It may have been given to another rating since.
            if rating.key is not None and keys.get((rating.user_id, rating.key)) is rating:
                keys = keys.delete((rating.user_id, rating.key))
        left = last.count - TIDIED_AT_ONCE
        return type(self)(self.of_song, keys, (*rest, replace(last, count=left)) if left > 0 else tuple(rest))


_song_id = attrgetter("id")
_NO_SONGS: Final = SortedItems[Song](_song_id)


@dataclass(frozen=True, slots=True)
class Level:
    """The songs of one level, and the sum of their difficulties in thousandths."""

    songs: SortedItems[Song] = _NO_SONGS
    sum_milli: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTable:
    """Songs by id, by identity, in order, by level and by artist. Immutable, as far as anyone can see."""

    search: SongSearch
    rows: Map[str, StoredSong] = field(default_factory=Map)
    identities: Map[SongIdentity, str] = field(default_factory=Map)
    order: SortedItems[Song] = _NO_SONGS
    levels: Map[int, Level] = field(default_factory=Map)
    artists: Map[str, SortedItems[Song]] = field(default_factory=Map)
    sum_milli: int = 0

    def get(self, song_id: str) -> Song | None:
        """Return the song with this id, or None."""
        row = self.rows.get(song_id)
        return None if row is None else row.song

    def plus(self, songs: Iterable[Song]) -> Self:
        """Return the table with `songs` as well, whose ids and identities are all new to it and distinct."""
        new = sorted(songs, key=_song_id)
        rows = {song.id: StoredSong.of(song) for song in new}
        by_level: dict[int, list[Song]] = defaultdict(list)
        by_artist: dict[str, list[Song]] = defaultdict(list)
        for row in rows.values():
            by_level[row.song.level].append(row.song)
            by_artist[row.artist_fold].append(row.song)
        all_rows = self.rows.update(rows)
        return type(self)(
            search=self.search.changed(list(rows.values()), all_rows),
            rows=all_rows,
            identities=self.identities.update({song.identity: song.id for song in new}),
            order=self.order.plus(new),
            levels=self.levels.update({level: self._level_with(level, group) for level, group in by_level.items()}),
            artists=self.artists.update(
                {artist: self.artists.get(artist, _NO_SONGS).plus(group) for artist, group in by_artist.items()}
            ),
            sum_milli=self.sum_milli + sum(song.difficulty_milli for song in new),
        )

    def minus(self, song: Song) -> Self:
        """Return the table without `song`, which is in it."""
        artist = self.rows[song.id].artist_fold
        level = self.levels[song.level]
        rows = self.rows.delete(song.id)
        rest = Level(level.songs.minus(song), level.sum_milli - song.difficulty_milli)
        of_artist = self.artists[artist].minus(song)
        return type(self)(
            search=self.search.changed((), rows),
            rows=rows,
            identities=self.identities.delete(song.identity),
            order=self.order.minus(song),
            levels=self.levels.set(song.level, rest) if rest.songs else self.levels.delete(song.level),
            artists=self.artists.set(artist, of_artist) if of_artist else self.artists.delete(artist),
            sum_milli=self.sum_milli - song.difficulty_milli,
        )

    def totals(self, level: int | None) -> DifficultyTotals:
        """Return the totals of a level, or of all songs, without counting."""
        if level is None:
            return DifficultyTotals(len(self.order), self.sum_milli)
        of_level = self.levels.get(level, Level())
        return DifficultyTotals(len(of_level.songs), of_level.sum_milli)

    def matching(self, song_filter: SongFilter) -> SortedItems[Song] | FoundSongs:
        """Return the songs that meet the filter, ordered by id."""
        text, artist, level = song_filter.text, song_filter.artist, song_filter.level
        rows: Iterable[StoredSong]
        if artist is not None:
            of_artist = self.artists.get(artist, _NO_SONGS)
            if text is None and level is None:
                return of_artist
            rows = (self.rows[song.id] for song in of_artist)
            if text is not None:
                rows = [row for row in rows if row.contains(text)]
        elif text is not None:
            rows = found = self.search.find(text, self.rows)
            if level is None:
                return found
        else:
            return self.order if level is None else self.levels.get(level, Level()).songs
        if level is not None:
            rows = [row for row in rows if row.song.level == level]
        return FoundSongs.of(rows)

    def _level_with(self, level: int, songs: Sequence[Song]) -> Level:
        before = self.levels.get(level, Level())
        return Level(
            before.songs.plus(songs),
            before.sum_milli + sum(song.difficulty_milli for song in songs),
        )
