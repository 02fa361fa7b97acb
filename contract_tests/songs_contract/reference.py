"""The reference: what a storage means, as plain dictionaries. The state machine compares every storage with it."""

from dataclasses import dataclass, field

from songs.errors import DuplicateSong, KeyReused, SongNotFound, UserExists, UserNotFound, VersionConflict
from songs.model import DifficultyTotals, Rating, RatingStats, Song, User
from songs.query import SongFilter
from songs.text import fold


@dataclass
class Reference:
    """Songs, ratings and users, in the obvious way."""

    songs: dict[str, Song] = field(default_factory=dict)
    ratings: dict[str, Rating] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)

    def copy(self) -> "Reference":
        """Return a copy that changes by itself."""
        return Reference(dict(self.songs), dict(self.ratings), dict(self.users))

    def add_song(self, song: Song) -> None:
        """Store a song."""
        stored = self.songs.get(song.id)
        if stored is not None and stored.identity == song.identity:
            return
        if stored is not None or any(s.identity == song.identity for s in self.songs.values()):
            raise DuplicateSong
        self.songs[song.id] = song

    def replace_song(self, song: Song, if_version: int) -> None:
        """Store another version of a song."""
        stored = self.songs.get(song.id)
        if stored is None:
            raise SongNotFound
        if stored == song:
            return
        if stored.version != if_version:
            raise VersionConflict
        if any(s.identity == song.identity and s.id != song.id for s in self.songs.values()):
            raise DuplicateSong
        self.songs[song.id] = song

    def delete_song(self, song_id: str) -> bool:
        """Remove a song with its ratings."""
        self.ratings = {r.id: r for r in self.ratings.values() if r.song_id != song_id}
        return self.songs.pop(song_id, None) is not None

    def add_rating(self, rating: Rating) -> str:
        """Store a rating; return the id of the one that is stored for it."""
        if rating.song_id not in self.songs:
            raise SongNotFound
        if rating.id in self.ratings:
            return rating.id
        for stored in self.ratings.values():
            if rating.key is not None and (stored.user_id, stored.key) == (rating.user_id, rating.key):
                if (stored.song_id, stored.value) != (rating.song_id, rating.value):
                    raise KeyReused
                return stored.id
        self.ratings[rating.id] = rating
        return rating.id

    def add_user(self, user: User) -> None:
        """Store a user."""
        stored = self.users.get(user.id)
        if stored is not None and stored.name_key == user.name_key:
            return
        if stored is not None or any(u.name_key == user.name_key for u in self.users.values()):
            raise UserExists
        self.users[user.id] = user

    def replace_user(self, user: User, if_version: int) -> None:
        """Store another version of a user."""
        stored = self.users.get(user.id)
        if stored is None:
            raise UserNotFound
        if stored != user and stored.version != if_version:
            raise VersionConflict
        self.users[user.id] = user

    def delete_user(self, user_id: str) -> bool:
        """Remove a user."""
        return self.users.pop(user_id, None) is not None

    def find(self, song_filter: SongFilter) -> tuple[Song, ...]:
        """Return the songs that meet a filter, in order."""
        return tuple(song for _, song in sorted(self.songs.items()) if _meets(song, song_filter))

    def stats(self, song_id: str) -> RatingStats | None:
        """Return the statistics of a song."""
        return RatingStats.of(r.value for r in self.events(song_id)) if song_id in self.songs else None

    def events(self, song_id: str) -> tuple[Rating, ...]:
        """Return the events of a song, in order."""
        return tuple(rating for _, rating in sorted(self.ratings.items()) if rating.song_id == song_id)

    def totals(self, level: int | None) -> DifficultyTotals:
        """Return the totals of a level."""
        found = self.find(SongFilter(level=level))
        return DifficultyTotals(len(found), sum(song.difficulty_milli for song in found))


def _meets(song: Song, song_filter: SongFilter) -> bool:
    artist, title = fold(song.artist), fold(song.title)
    return (
        song_filter.level in (None, song.level)
        and song_filter.artist in (None, artist)
        and (song_filter.text is None or song_filter.text in artist or song_filter.text in title)
    )
