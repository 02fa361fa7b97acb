"""Values on their way into a backend and out of it, where most backends need the same.

row = (rating.id, milliseconds(rating.rated_at))
found = rows("... WHERE id > ? LIMIT ?", comparable(after_id), clamped(limit))
rated_at = moment(row[1])

try:
    return Rating(...)
except UNREADABLE as error:
    raise damaged("rating", row[0], error) from error
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from songs.errors import InvalidInput, StorageDamaged
from songs.limits import MAX_LEVEL, is_id
from songs.model import SongIdentity

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONE_SURROGATES: Final = re.compile("[\ud800-\udfff]")

LARGEST_INT32: Final = 2**31 - 1
LARGEST_INT64: Final = 2**63 - 1

LARGEST_COUNT: Final = 2**53
"""No number of records that was counted is larger."""

UNREADABLE: Final = (InvalidInput, LookupError, OverflowError, TypeError, ValueError)
"""What making a value of the model raises where the stored record is not one that the model ever made."""


NO_SUCH_RECORD: Final = "it holds what no such record can hold"
LONGEST_SHOWN: Final = 80
"""Characters that are shown of a stored id that no record can have."""


def milliseconds(moment: datetime) -> int:
    """Return whole milliseconds since 1970, exactly: a float would be off by one for some years."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds_: int) -> datetime:
    """Return the time in UTC that `milliseconds` made a number of."""
    return _EPOCH + milliseconds_ * _MILLISECOND


def comparable(text: str) -> str:
    """Return `text` in a form that any backend can compare with stored ids, names and keys.

    These are ASCII without control characters, while callers may ask for anything. NULs and lone surrogates cannot be
    sent everywhere; what takes their place is less and greater than every stored character as they are, and equal to
    none.
    """
    if "\0" in text:
        text = text.replace("\0", "\1")
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def encodable(text: str) -> bool:
    """Return whether a stored text may equal or contain `text`: not if it has a NUL or a lone surrogate."""
    return "\0" not in text and (text.isascii() or not _LONE_SURROGATES.search(text))


def digest(*parts: str) -> bytes:
    """Return a SHA-256 hash of texts: for a unique index, where they are too long for one; no two lists meet.

    Args:
        parts: Texts, stored ones without NULs; one that is only looked for may be any text.
    """
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def identity_key(identity: SongIdentity) -> bytes:
    """Return the hash of what is unique about a song (SNG-3)."""
    return digest(identity.artist, identity.title, identity.released.isoformat())


def clamped(number: int, largest: int = LARGEST_INT64) -> int:
    """Return `number` where it is between 0 and `largest`, else the nearest such number: for limits and offsets."""
    return min(max(number, 0), largest)


def comparable_level(level: int) -> int:
    """Return a level that any backend can compare with stored ones, and that no song has if none has `level`."""
    return level if 0 <= level <= MAX_LEVEL else -1


def damaged(kind: str, record_id: object, error: Exception) -> StorageDamaged:
    """Return the error for a stored record that cannot be read, which is no fault of the caller's input.

    Args:
        kind: What is damaged: "song", "rating", "user", "session", a record of the adapter's own such as "claim", or a
            part of one, such as "counter of song".
        record_id: The id of the record that is named last, here the song's, which may be damaged too; None where it is
            not known.
        error: The error from making the value, one of `UNREADABLE`.
    """
    why = error.detail if isinstance(error, InvalidInput) else NO_SUCH_RECORD
    shown = record_id if isinstance(record_id, str) and is_id(record_id) else repr(record_id)[:LONGEST_SHOWN]
    which = f"A stored {kind}" if record_id is None else f"The stored {kind} {shown}"
    return StorageDamaged(f"{which} is damaged ({why}). Correct it in the database, or restore a backup.")
