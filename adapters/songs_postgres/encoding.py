"""How values look in the tables."""

import hashlib
from typing import Final, LiteralString

from songs.model import Role, Session, Song, SongDetails, SongIdentity, User
from songs.text import fold
from songs_plugins.values import moment
from songs_postgres.connection import Row

SONG_TYPES: Final[dict[LiteralString, LiteralString]] = {
    "id": "text",
    "version": "bigint",
    "artist": "text",
    "title": "text",
    "difficulty_milli": "integer",
    "level": "smallint",
    "released": "date",
}
SONG_COLUMNS: Final = ", ".join(SONG_TYPES)
WRITTEN_TYPES: Final = SONG_TYPES | {"identity_key": "bytea", "artist_fold": "text", "title_fold": "text"}
"""Of the columns that are written with a song, in the order of `song_row`: the id first."""
USER_COLUMNS: Final = "id, name, password_hash, role, disabled, created_at_ms, token_version, version"
SESSION_COLUMNS: Final = "id, user_id, current_hash, previous_hash, created_at_ms, rotated_at_ms, expires_at_ms"


def identity_key(identity: SongIdentity) -> bytes:
    """Return what stands for an identity in the index that keeps it unique: the texts may be too long for an index."""
    text = f"{identity.artist}\0{identity.title}\0{identity.released.isoformat()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def song_of(row: Row) -> Song:
    """Return the song of a row of `SONG_COLUMNS`."""
    song_id, version, artist, title, difficulty_milli, level, released = row
    return Song(
        id=song_id,
        version=version,
        details=SongDetails(
            artist=artist,
            title=title,
            difficulty_milli=difficulty_milli,
            level=level,
            released=released,
        ),
    )


def song_row(song: Song, key: bytes) -> tuple[object, ...]:
    """Return the row of `WRITTEN_TYPES` for a song; `key` is the one of its identity."""
    details = song.details
    return (
        song.id,
        song.version,
        details.artist,
        details.title,
        details.difficulty_milli,
        details.level,
        details.released,
        key,
        fold(details.artist),
        fold(details.title),
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
