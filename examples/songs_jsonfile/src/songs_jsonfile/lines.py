"""The lines of the file: each is one write, as JSON with its checksum.

    ["5f0c3a1e",{"put":"rating","rows":[{"id":"r1","song_id":"s1","user_id":"u1","value":5,...}]}]

The first member is the CRC-32 of the bytes of the second, so that every line is valid JSON and proves itself.
"""

import json
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any, Final
from zlib import crc32

from songs.model import Rating, Session, Song, User
from songs.ports.coherence import CoherenceRecord
from songs_plugins.documents import Record, document, record_of
from songs_plugins.smallest import SmallestTables

_KINDS: Final[dict[str, type[Record]]] = {
    "song": Song,
    "rating": Rating,
    "user": User,
    "session": Session,
    "coherence": CoherenceRecord,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def putting(*records: Record) -> bytes:
    """Return the line that stores records of one kind."""
    return _line({"put": _NAMES[type(records[0])], "rows": [document(each) for each in records]})


def removing(kind: type[Record], *ids: str) -> bytes:
    """Return the line that removes records of one kind."""
    return _line({"remove": _NAMES[kind], "ids": ids})


def identifying(identity: str) -> bytes:
    """Return the line that tells the data of one file from others, copies of it excepted."""
    return _line({"put": "identity", "rows": [{"text": identity}]})


def replay(line: bytes, tables: SmallestTables) -> str | None:
    """Make the change of a line, unless it is made already; return the identity, where it is the line that says it.

    Raises:
        ValueError: Its checksum does not match; also `TypeError`, `KeyError` or `InvalidInput` where it does, and the
            line says something that this version does not know.
    """
    content = line[12:-2]
    if _checked(content) != line:
        raise ValueError("its checksum does not match")
    change = json.loads(content)
    if change.get("put") == "identity":
        return str(change["rows"][0]["text"])
    if "put" in change:
        for each in (record_of(_KINDS[change["put"]], row) for row in change["rows"]):
            if not (isinstance(each, Rating) and each.id in tables.ratings[each.song_id]):
                tables.put(each)
    else:
        stored: dict[str, Collection[str]] = {
            "song": tables.songs,
            "user": tables.users,
            "session": tables.sessions,
        }
        name = change["remove"]
        tables.remove(_KINDS[name], *(each for each in change["ids"] if each in stored[name]))
    return None


def records(tables: SmallestTables) -> Iterator[Record]:
    """Yield every record, songs before their ratings."""
    yield from (each.song for each in tables.songs.values())
    yield from chain.from_iterable(events.values() for events in tables.ratings.values())
    yield from chain(tables.users.values(), tables.sessions.values(), [tables.coherence])


def _line(change: dict[str, Any]) -> bytes:
    # ASCII with escapes: a password hash may be any text, lone surrogates included, which UTF-8 does not have.
    return _checked(json.dumps(change, separators=(",", ":")).encode("ascii"))


def _checked(content: bytes) -> bytes:
    return b'["%08x",%s]\n' % (crc32(content), content)
