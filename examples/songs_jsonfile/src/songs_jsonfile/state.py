"""All data, in memory, with what the repositories look things up by."""

from bisect import insort
from collections.abc import Iterator
from itertools import chain
from typing import Final

from songs.model import Rating, RatingStats, Session, Song, SongIdentity, User
from songs.ports.coherence import CoherenceRecord
from songs.text import fold
from songs_jsonfile.changes import Change, Identity, Put, Row

FORGOTTEN_AT_ONCE: Final = 1000
"""How many ratings of songs that are gone each change drops."""


class State:
    """Plain dictionaries. Not thread-safe: `Journal` lends it out under a lock.

    A change that is made in memory and one that is read from the file take the same way, `apply`.
    """

    def __init__(self) -> None:
        self.songs: dict[str, Song] = {}
        self.order: list[str] = []
        self.folds: dict[str, tuple[str, str]] = {}
        self.identities: dict[SongIdentity, str] = {}
        self.events: dict[str, dict[str, Rating]] = {}
        self.stats: dict[str, RatingStats] = {}
        self.keyed: dict[tuple[str, str], Rating] = {}
        self.users: dict[str, User] = {}
        self.names: dict[str, str] = {}
        self.sessions: dict[str, Session] = {}
        self.coherence = CoherenceRecord(epoch=1, cache_on=True)
        self.identity: Identity | None = None
        self.leftovers: list[dict[str, Rating]] = []

    def rows(self) -> Iterator[Row]:
        """Yield every row, songs before their ratings."""
        ratings = chain.from_iterable(events.values() for events in self.events.values())
        if self.identity is not None:
            yield self.identity
        yield from chain(self.songs.values(), ratings, self.users.values(), self.sessions.values(), [self.coherence])

    def __len__(self) -> int:
        ratings = sum(len(events) for events in self.events.values())
        return len(self.songs) + ratings + len(self.users) + len(self.sessions) + 2

    def apply(self, change: Change) -> None:
        """Make a change that was checked before.

        Raises:
            KeyError: It refers to a row that is not there, so the file it comes from is not sound.
        """
        if isinstance(change, Put):
            for row in change.rows:
                self._put(row)
        else:
            for row_id in change.ids:
                self._remove(change.kind, row_id)
        self._forget_some_keys()

    def rating_of_key(self, user_id: str, key: str) -> Rating | None:
        """Return the rating to which a user's key belongs, or None: not one of a song that is gone."""
        rating = self.keyed.get((user_id, key))
        if rating is None or self.events.get(rating.song_id, {}).get(rating.id) is not rating:
            return None
        return rating

    def _put(self, row: Row) -> None:
        match row:
            case Song():
                self._put_song(row)
            case Rating():
                self.events[row.song_id][row.id] = row
                self.stats[row.song_id] = self.stats[row.song_id].plus(row.value)
                if row.key is not None:
                    self.keyed[row.user_id, row.key] = row
            case User():
                self.users[row.id] = row
                self.names[row.name_key] = row.id
            case Session():
                self.sessions[row.id] = row
            case CoherenceRecord():
                self.coherence = row
            case Identity():
                self.identity = row

    def _put_song(self, song: Song) -> None:
        before = self.songs.get(song.id)
        if before is None:
            insort(self.order, song.id)
            self.events[song.id] = {}
            self.stats[song.id] = RatingStats()
        else:
            del self.identities[before.identity]
        self.songs[song.id] = song
        self.identities[song.identity] = song.id
        self.folds[song.id] = fold(song.artist), fold(song.title)

    def _remove(self, kind: type[Row], row_id: str) -> None:
        if kind is Song:
            del self.identities[self.songs.pop(row_id).identity]
            self.order.remove(row_id)
            del self.folds[row_id], self.stats[row_id]
            self.leftovers.append(self.events.pop(row_id))
        elif kind is User:
            del self.names[self.users.pop(row_id).name_key]
            self.sessions = {key: each for key, each in self.sessions.items() if each.user_id != row_id}
        elif kind is Session:
            del self.sessions[row_id]
        else:
            raise KeyError(kind.__name__)

    def _forget_some_keys(self) -> None:
        """Drop some ratings of songs that are gone, with their keys: all at once, others would wait for that."""
        for _ in range(FORGOTTEN_AT_ONCE):
            while self.leftovers and not self.leftovers[-1]:
                self.leftovers.pop()
            if not self.leftovers:
                return
            _, rating = self.leftovers[-1].popitem()
            if rating.key is not None and self.keyed.get((rating.user_id, rating.key)) is rating:
                del self.keyed[rating.user_id, rating.key]
