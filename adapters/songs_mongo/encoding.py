"""How values look in the documents.

The driver reads larger integers as a kind of its own, and the model wants plain ones. Documents have no schema,
and one that was edited by hand may hold anything: what the model does not check itself is checked here.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

from songs.errors import StorageDamaged
from songs.limits import rating_problem, refuse
from songs.model import Rating, RatingStats, Role, Session, Song, SongDetails, SongIdentity, User
from songs.text import fold
from songs_mongo.schema import Document
from songs_plugins import values
from songs_plugins.values import LARGEST_COUNT, UNREADABLE, damaged, milliseconds, moment

GRAM: Final = 3
"""The length of the longest runs of characters that are indexed."""
BORN_BYTES: Final = 9
"""How much chance is in a song's `born`."""

SONG_MEMBERS: Final = dict.fromkeys(("artist", "title", "milli", "level", "released", "version"), 1)
COUNTERS: Final = ("n1", "n2", "n3", "n4", "n5")


def whole(value: object) -> int:
    """Return an integer that is stored as one, or as a double of the same value, which editing by hand makes of it.

    Raises:
        TypeError, ValueError, OverflowError: It is another value (see `UNREADABLE`).
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError("not an integer")
    return int(value)


def count(value: object) -> int:
    """Return a number of records; raise as `whole`."""
    number = whole(value)
    if not 0 <= number <= LARGEST_COUNT:
        raise ValueError("not a number of records")
    return number


def flag(value: object) -> bool:
    """Return a truth value, which may be stored as 0 or 1; raise `TypeError` for any other value."""
    if value not in (0, 1):
        raise TypeError("not a truth value")
    return bool(value)


def text(value: object) -> str:
    """Return a text; raise `TypeError` for any other value."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def digest(*parts: str) -> str:
    """Return `values.digest` as a text."""
    return values.digest(*parts).hex()


def identity_key(identity: SongIdentity) -> str:
    """Return `values.identity_key` as a text."""
    return values.identity_key(identity).hex()


def grams(folded: str) -> set[str]:
    """Return all runs of one, two and three characters of a folded text."""
    return {folded[i : i + size] for size in range(1, GRAM + 1) for i in range(len(folded) - size + 1)}


def folds(artist: str, title: str) -> Document:
    """Return the members of a song's document that are made from folds."""
    artist_fold, title_fold = fold(artist), fold(title)
    return {
        "artist_key": digest(artist_fold),
        "artist_fold": artist_fold,
        "title_fold": title_fold,
        "grams": sorted(grams(artist_fold) | grams(title_fold)),
    }


def song_members(song: Song) -> Document:
    """Return the members of a song's document that an editor changes."""
    details = song.details
    return {
        "artist": details.artist,
        "title": details.title,
        "milli": details.difficulty_milli,
        "level": details.level,
        "released": details.released.isoformat(),
        "version": song.version,
        "identity": identity_key(details.identity),
        **folds(details.artist, details.title),
    }


def new_song(song: Song, incarnation: str) -> Document:
    """Return the document of a song that has no ratings yet."""
    unrated = {**dict.fromkeys(COUNTERS, 0), "moved": 0, "high": "", "recent": {}}
    return {"_id": song.id, "born": incarnation, **song_members(song), **unrated}


def song(document: Document) -> Song:
    """Return the song of a document that has at least `SONG_MEMBERS`."""
    try:
        return Song(
            id=document["_id"],
            version=whole(document["version"]),
            details=SongDetails(
                artist=document["artist"],
                title=document["title"],
                difficulty_milli=whole(document["milli"]),
                level=whole(document["level"]),
                released=date.fromisoformat(document["released"]),
            ),
        )
    except UNREADABLE as error:
        raise damaged("song", document["_id"], error) from error


def stats(document: Document) -> RatingStats:
    """Return the statistics of a song's document that has at least `COUNTERS`."""
    try:
        n1, n2, n3, n4, n5 = (count(document[name]) for name in COUNTERS)
    except UNREADABLE as error:
        raise damaged("counter of song", document["_id"], error) from error
    return RatingStats((n1, n2, n3, n4, n5))


def rated_value(song_id: str, event: Any) -> int:  # noqa: ANN401 - whatever is stored in the place of an event
    """Return the value of an event of a song; the event's other members may be missing."""
    try:
        value = whole(event["value"])
        refuse(("/rating", rating_problem(value)))
    except UNREADABLE as error:
        raise damaged("rating of song", song_id, error) from error
    return value


def event(rating: Rating) -> Document:
    """Return what a song's document holds of a rating under its id."""
    return {
        "user": rating.user_id,
        "value": rating.value,
        "at": milliseconds(rating.rated_at),
        "key": rating.key,
    }


def rating(song_id: str, rating_id: str, document: Document) -> Rating:
    """Return the rating of a document that has at least the members of `event`."""
    try:
        return Rating(
            id=rating_id,
            song_id=song_id,
            user_id=document["user"],
            value=whole(document["value"]),
            rated_at=moment(whole(document["at"])),
            key=document["key"],
        )
    except UNREADABLE as error:
        raise damaged("rating", rating_id, error) from error


def moved_when(event: Document) -> int:
    """Return how many events of its song had been moved before one in ``ratings``."""
    try:
        return count(event["seq"])
    except UNREADABLE as error:
        raise damaged("rating", event["_id"].partition("/")[2], error) from error


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that a rating has, of one incarnation of a song."""

    id: str
    incarnation: str
    rating: Rating

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the claim in a document."""
        try:
            return cls(
                document["_id"],
                text(document["born"]),
                rating(text(document["song"]), document["rating"], document),
            )
        except (StorageDamaged, *UNREADABLE) as error:
            raise damaged("claim", document["_id"], error) from error

    def document(self) -> Document:
        """Return the document of the claim."""
        song_id, rating_id = self.rating.song_id, self.rating.id
        members = {"_id": self.id, "song": song_id, "born": self.incarnation, "rating": rating_id}
        return {**members, **event(self.rating)}


def user_document(user: User) -> Document:
    """Return the document of a user."""
    return {
        "_id": user.id,
        "name": user.name,
        "name_key": user.name_key,
        "password_hash": user.password_hash,
        "role": user.role.value,
        "disabled": user.disabled,
        "created_at": milliseconds(user.created_at),
        "token_version": user.token_version,
        "version": user.version,
    }


def user(document: Document) -> User:
    """Return the user of a document."""
    try:
        return User(
            id=document["_id"],
            name=document["name"],
            password_hash=text(document["password_hash"]),
            role=Role(document["role"]),
            disabled=flag(document["disabled"]),
            created_at=moment(whole(document["created_at"])),
            token_version=whole(document["token_version"]),
            version=whole(document["version"]),
        )
    except UNREADABLE as error:
        raise damaged("user", document["_id"], error) from error


def session_document(session: Session) -> Document:
    """Return the document of a session."""
    return {
        "_id": session.id,
        "user_id": session.user_id,
        "current_hash": session.current_hash,
        "previous_hash": session.previous_hash,
        "created_at": milliseconds(session.created_at),
        "rotated_at": milliseconds(session.rotated_at),
        "expires_at": milliseconds(session.expires_at),
    }


def session(document: Document) -> Session:
    """Return the session of a document."""
    try:
        return Session(
            id=document["_id"],
            user_id=document["user_id"],
            current_hash=text(document["current_hash"]),
            previous_hash=None if document["previous_hash"] is None else text(document["previous_hash"]),
            created_at=moment(whole(document["created_at"])),
            rotated_at=moment(whole(document["rotated_at"])),
            expires_at=moment(whole(document["expires_at"])),
        )
    except UNREADABLE as error:
        raise damaged("session", document["_id"], error) from error
