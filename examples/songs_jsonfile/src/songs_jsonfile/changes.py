"""What is written: a change of the data, as one line of JSON with its checksum.

    ["5f0c3a1e",{"put":"rating","rows":[{"id":"r1","song_id":"s1","user_id":"u1","value":5,...}]}]

The first member is the CRC-32 of the bytes of the second, so that every line is valid JSON and proves itself.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias
from zlib import crc32

from songs.model import Rating, Role, Session, Song, SongDetails, User
from songs.ports.coherence import CoherenceRecord


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells the data of one file from others, copies of it excepted."""

    text: str


Row: TypeAlias = Song | Rating | User | Session | CoherenceRecord | Identity

KINDS: Final[dict[str, type[Row]]] = {
    "song": Song,
    "rating": Rating,
    "user": User,
    "session": Session,
    "coherence": CoherenceRecord,
    "identity": Identity,
}
_NAMES: Final = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Put:
    """Rows of one kind that are new, or take the place of the rows with their ids."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Rows of one kind that are gone, with whatever belongs to them."""

    kind: type[Row]
    ids: tuple[str, ...]


Change: TypeAlias = Put | Remove


def encode(change: Change) -> bytes:
    """Return the line of a change, with its line feed."""
    if isinstance(change, Put):
        body: dict[str, Any] = {"put": _NAMES[type(change.rows[0])], "rows": [_members(row) for row in change.rows]}
    else:
        body = {"remove": _NAMES[change.kind], "ids": change.ids}
    # ASCII with escapes: a password hash may be any text, lone surrogates included, which UTF-8 does not have.
    return _line(json.dumps(body, default=_written, separators=(",", ":")).encode("ascii"))


def decode(line: bytes) -> Change:
    """Return the change of a line.

    Raises:
        ValueError: Its checksum does not match; also `TypeError`, `KeyError` or `InvalidInput` where it does, and the
            line says something that this version does not know.
    """
    content = line[12:-2]
    if _line(content) != line:
        raise ValueError("its checksum does not match")
    body = json.loads(content)
    if "put" in body:
        kind = KINDS[body["put"]]
        return Put(tuple(_row(kind, members) for members in body["rows"]))
    return Remove(KINDS[body["remove"]], tuple(body["ids"]))


def _line(content: bytes) -> bytes:
    return b'["%08x",%s]\n' % (crc32(content), content)


def _members(row: Row) -> dict[str, Any]:
    members = asdict(row)
    if isinstance(row, Song):
        # Flat, as lines were written before songs had details.
        members |= members.pop("details")
    return members


def _row(kind: Callable[..., Row], members: dict[str, Any]) -> Row:
    values: dict[str, Any] = {name: _READ[name](value) if name in _READ else value for name, value in members.items()}
    if kind is Song:
        return Song(id=values.pop("id"), version=values.pop("version"), details=SongDetails(**values))
    return kind(**values)


def _written(value: object) -> str:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be written")


def _moment(text: str) -> datetime:
    # The model compares with `is UTC`: an equal time zone is not enough.
    return datetime.fromisoformat(text).astimezone(UTC)


_READ: Final[dict[str, Callable[[str], object]]] = {
    "released": date.fromisoformat,
    "role": Role,
    "created_at": _moment,
    "rated_at": _moment,
    "rotated_at": _moment,
    "expires_at": _moment,
}
