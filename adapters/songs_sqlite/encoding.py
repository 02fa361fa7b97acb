"""How values look in the tables. The driver's own converters are never used: they differ between Python versions."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from songs.model import Role, Session, Song, User
from songs_sqlite.connection import Parameters, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")

LARGEST: Final = 2**63 - 1
"""The largest integer that can be bound."""

SONG_COLUMNS: Final = "id, artist, title, difficulty_milli, level, released, version"
USER_COLUMNS: Final = "id, name, password_hash, role, disabled, created_at_ms, token_version, version"
SESSION_COLUMNS: Final = "id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms"


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970, exactly: a float would be off by one for some years."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds_: int) -> datetime:
    """Return the time in UTC that `milliseconds` made a number of."""
    return _EPOCH + milliseconds_ * _MILLISECOND


def sought(text: str) -> str:
    """Return `text` in a form that can be compared with stored ids, names and keys, which are ASCII.

    Lone surrogates cannot be bound; what takes their place is greater than ASCII too, and equal to none of it.
    """
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def storable(text: str) -> bool:
    """Return whether a stored text may equal or contain `text`: not if it has a NUL or a lone surrogate."""
    return "\0" not in text and (text.isascii() or not _LONE_SURROGATES.search(text))


def bounded(number: int) -> int:
    """Return `number` where it is between 0 and what can be bound, else the nearest such number."""
    return min(max(number, 0), LARGEST)


def song(row: Row) -> Song:
    """Return the song of a row of `SONG_COLUMNS`."""
    return Song(
        id=row[0],
        artist=row[1],
        title=row[2],
        difficulty_milli=row[3],
        level=row[4],
        released=date.fromisoformat(row[5]),
        version=row[6],
    )


def user(row: Row) -> User:
    """Return the user of a row of `USER_COLUMNS`."""
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


def session(row: Row) -> Session:
    """Return the session of a row of `SESSION_COLUMNS`."""
    return Session(
        id=row[0],
        user_id=row[1],
        current_hash=row[2],
        previous_hash=row[3],
        created_at=moment(row[4]),
        rotated_at=moment(row[5]),
        expires_at=moment(row[6]),
    )


def session_row(session: Session) -> Parameters:
    """Return the row of `SESSION_COLUMNS` for a session."""
    return (
        session.id,
        session.user_id,
        session.current_hash,
        session.previous_hash,
        milliseconds(session.created_at),
        milliseconds(session.rotated_at),
        milliseconds(session.expires_at),
    )
