"""Records as JSON objects, for backends that keep documents, values under keys, or lines of a file.

line = json.dumps(document(song))  # ASCII, as `json.dumps` escapes the rest: a password hash may have lone surrogates
song = record_of(Song, json.loads(line))
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias, TypeVar

from songs.model import Rating, Role, Session, Song, SongDetails, User
from songs.ports.coherence import CoherenceRecord

Record: TypeAlias = Song | Rating | User | Session | CoherenceRecord
"""All that a storage stores."""

R = TypeVar("R")


def document(record: Any) -> dict[str, Any]:  # noqa: ANN401 - a record, or a dataclass of the adapter's own
    """Return the members of a record, those of a song's details beside its own; dates and times are ISO 8601."""
    members = asdict(record)
    members |= members.pop("details", {})
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in members.items()}


def record_of(kind: type[R], found: Mapping[str, Any]) -> R:
    """Return the record of the given kind that `document` made `found` of.

    Raises:
        InvalidInput, TypeError, ValueError, ...: It is not one that the model ever made (`values.UNREADABLE`).
    """
    members: dict[str, Any] = {name: _READ[name](value) if name in _READ else value for name, value in found.items()}
    if issubclass(kind, Song):
        return kind(id=members.pop("id"), version=members.pop("version"), details=SongDetails(**members))
    return kind(**members)


def _time(text: str) -> datetime:
    # The model compares with `is UTC`: an equal time zone is not enough.
    return datetime.fromisoformat(text).astimezone(UTC)


_READ: Final[dict[str, Callable[[str], object]]] = {
    "released": date.fromisoformat,
    "role": Role,
    "created_at": _time,
    "rated_at": _time,
    "rotated_at": _time,
    "expires_at": _time,
}
