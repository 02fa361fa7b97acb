"""How values look in the documents.

The driver reads larger integers as a kind of its own, and the model wants plain ones.
"""

from datetime import date
from typing import Final

from songs.model import Rating, RatingStats, Role, Session, Song, SongDetails, SongIdentity, User
from songs.text import fold
from songs_mongo.schema import Document
from songs_plugins import values
from songs_plugins.values import UNREADABLE, damaged, milliseconds, moment

GRAM: Final = 3
"""The length of the longest runs of characters that are indexed."""
BORN_BYTES: Final = 9
"""How much chance is in a song's `born`."""

SONG_MEMBERS: Final = dict.fromkeys(("artist", "title", "milli", "level", "released", "version"), 1)
COUNTERS: Final = ("n1", "n2", "n3", "n4", "n5")


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


def new_song(song: Song, born: str) -> Document:
    """Return the document of a song that has no ratings yet."""
    unrated = {**dict.fromkeys(COUNTERS, 0), "moved": 0, "high": "", "recent": {}}
    return {"_id": song.id, "born": born, **song_members(song), **unrated}


def song(document: Document) -> Song:
    """Return the song of a document that has at least `SONG_MEMBERS`."""
    try:
        return Song(
            id=document["_id"],
            version=int(document["version"]),
            details=SongDetails(
                artist=document["artist"],
                title=document["title"],
                difficulty_milli=int(document["milli"]),
                level=int(document["level"]),
                released=date.fromisoformat(document["released"]),
            ),
        )
    except UNREADABLE as error:
        raise damaged("song", document["_id"], error) from error


def stats(document: Document) -> RatingStats:
    """Return the statistics of a document that has at least `COUNTERS`."""
    n1, n2, n3, n4, n5 = (int(document[name]) for name in COUNTERS)
    return RatingStats((n1, n2, n3, n4, n5))


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
            value=int(document["value"]),
            rated_at=moment(int(document["at"])),
            key=document["key"],
        )
    except UNREADABLE as error:
        raise damaged("rating", rating_id, error) from error


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
            password_hash=document["password_hash"],
            role=Role(document["role"]),
            disabled=bool(document["disabled"]),
            created_at=moment(int(document["created_at"])),
            token_version=int(document["token_version"]),
            version=int(document["version"]),
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
            current_hash=document["current_hash"],
            previous_hash=document["previous_hash"],
            created_at=moment(int(document["created_at"])),
            rotated_at=moment(int(document["rotated_at"])),
            expires_at=moment(int(document["expires_at"])),
        )
    except UNREADABLE as error:
        raise damaged("session", document["_id"], error) from error
