"""How values look in the tables."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from songs.model import Role, Session, Song, SongIdentity, User
from songs_postgres.connection import Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_LARGEST: Final = 2**63 - 1

SONG_COLUMNS: Final = "id, artist, title, difficulty_milli, level, released, version"
USER_COLUMNS: Final = "id, name, password_hash, role, disabled, created_at_ms, token_version, version"
SESSION_COLUMNS: Final = "id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms"


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970: a timestamptz would come back in the session's time zone, or not at all."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds_: int) -> datetime:
    """Return the time in UTC that `milliseconds` made a number of."""
    return _EPOCH + milliseconds_ * _MILLISECOND


def comparable(text: str) -> str:
    """Return `text` in a form that can be compared with stored ids and names, which are letters, digits, ``_``, ``-``.

    Neither NUL nor lone surrogates can be sent. What takes their place compares with every id as they do.
    """
    return _LONE_SURROGATES.sub("\ufffd", text.replace("\0", "\1"))


def encodable(text: str) -> bool:
    """Return whether a stored text may equal or contain `text`: not if it has a NUL or a lone surrogate."""
    return "\0" not in text and not _LONE_SURROGATES.search(text)


def clamped(number: int) -> int:
    """Return `number` where it is between 0 and the largest bigint, else the nearest such number."""
    return min(max(number, 0), _LARGEST)


def identity_key(identity: SongIdentity) -> bytes:
    """Return what stands for an identity in the index that keeps it unique: the texts may be too long for an index."""
    text = f"{identity.artist}\0{identity.title}\0{identity.released.isoformat()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def song_of(row: Row) -> Song:
    """Return the song of a row of `SONG_COLUMNS`."""
    song_id, artist, title, difficulty_milli, level, released, version = row
    return Song(
        id=song_id,
        artist=artist,
        title=title,
        difficulty_milli=difficulty_milli,
        level=level,
        released=released,
        version=version,
    )


def user_of(row: Row) -> User:
    """Return the user of a row of `USER_COLUMNS`."""
    user_id, name, password_hash, role, disabled, created_at_ms, token_version, version = row
    return User(
        id=user_id,
        name=name,
        password_hash=password_hash,
        role=Role(role),
        disabled=disabled,
        created_at=moment(created_at_ms),
        token_version=token_version,
        version=version,
    )


def session_of(row: Row) -> Session:
    """Return the session of a row of `SESSION_COLUMNS`."""
    session_id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms = row
    return Session(
        id=session_id,
        user_id=user_id,
        current_hash=current_hash,
        previous_hash=previous_hash,
        created_at=moment(created_at_ms),
        rotated_at=moment(rotated_at_ms),
        expires_at=moment(expires_at_ms),
    )
