"""Rows of songs, ratings, users and sessions, for storages in tables: the columns, and their values.

GET = f"SELECT {USER_COLUMNS} FROM users WHERE id = ?"
ADD = f"INSERT INTO users ({USER_COLUMNS}, name_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

connection.execute(ADD, (*user_row(user), user.name_key))
users = map(user_of, connection.execute(GET, (user_id,)))
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from songs.model import Rating, Role, Session, Song, SongDetails, User
from songs_plugins.values import UNREADABLE, damaged, milliseconds, moment

SONG_COLUMNS: Final = "id, version, artist, title, difficulty_milli, level, released"
RATING_COLUMNS: Final = "id, user_id, value, rated_at_ms, key"
USER_COLUMNS: Final = "id, name, password_hash, role, disabled, created_at_ms, token_version, version"
"""The first two never change (USR-5)."""
SESSION_COLUMNS: Final = "id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms"


def song_of(row: Sequence[Any]) -> Song:
    """Return the song of a row of `SONG_COLUMNS`; its date may be a text in the form of ISO 8601."""
    song_id, version, artist, title, difficulty_milli, level, released = row
    try:
        return Song(
            id=song_id,
            version=version,
            details=SongDetails(
                artist=artist,
                title=title,
                released=date.fromisoformat(released) if isinstance(released, str) else released,
                difficulty_milli=difficulty_milli,
                level=level,
            ),
        )
    except UNREADABLE as error:
        raise damaged("song", song_id, error) from error


def rating_of(song_id: str, row: Sequence[Any]) -> Rating:
    """Return the rating of a song of a row of `RATING_COLUMNS`."""
    rating_id, user_id, value, rated_at_ms, key = row
    try:
        return Rating(
            id=rating_id, song_id=song_id, user_id=user_id, value=value, rated_at=moment(rated_at_ms), key=key
        )
    except UNREADABLE as error:
        raise damaged("rating", rating_id, error) from error


def user_row(user: User) -> tuple[object, ...]:
    """Return the values of `USER_COLUMNS` for a user."""
    return (
        user.id,
        user.name,
        user.password_hash,
        user.role.value,
        user.disabled,
        milliseconds(user.created_at),
        user.token_version,
        user.version,
    )


def user_of(row: Sequence[Any]) -> User:
    """Return the user of a row of `USER_COLUMNS`."""
    try:
        return User(
            id=row[0],
            name=row[1],
            password_hash=row[2],
            role=Role(row[3]),
            disabled=bool(row[4]),
            created_at=moment(row[5]),
            token_version=row[6],
            version=row[7],
        )
    except UNREADABLE as error:
        raise damaged("user", row[0], error) from error


def session_row(session: Session) -> tuple[object, ...]:
    """Return the values of `SESSION_COLUMNS` for a session."""
    return (
        session.id,
        session.user_id,
        session.current_hash,
        session.previous_hash,
        milliseconds(session.created_at),
        milliseconds(session.rotated_at),
        milliseconds(session.expires_at),
    )


def session_of(row: Sequence[Any]) -> Session:
    """Return the session of a row of `SESSION_COLUMNS`."""
    try:
        return Session(
            id=row[0],
            user_id=row[1],
            current_hash=row[2],
            previous_hash=row[3],
            created_at=moment(row[4]),
            rotated_at=moment(row[5]),
            expires_at=moment(row[6]),
        )
    except UNREADABLE as error:
        raise damaged("session", row[0], error) from error
