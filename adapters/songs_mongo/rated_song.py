"""What of a song's document concerns its ratings, and the changes of it that keep them exact."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from pymongo import ReturnDocument

from songs.errors import Conflict
from songs.model import RatingStats
from songs_mongo import encoding
from songs_mongo.schema import RATINGS, SONGS, Document
from songs_mongo.transaction import Transaction

FULL: Final = 16
"""From so many recent events on they are moved."""
KEPT: Final = 4
"""So many of the newest stay: a rating whose id is a little older than the newest then needs no further look."""
STEP: Final = 4
"""How many more ratings come before someone else tries to move them, if whoever should have did not."""

_COUNTERS: Final = dict.fromkeys(encoding.COUNTERS, 1)
STATE: Final = {**_COUNTERS, "born": 1, "moved": 1, "high": 1, "recent": 1}
"""What of a song's document concerns its ratings."""


@dataclass(frozen=True, slots=True)
class RatedSong:
    """The ratings in a song's document, at one moment."""

    id: str
    born: str
    moved: int
    high: str
    recent: Mapping[str, Document]
    stats: RatingStats

    @classmethod
    def read(cls, transaction: Transaction, song_id: str) -> Self | None:
        """Return the song, or None where there is none."""
        document = transaction.read(lambda db, session: db[SONGS].find_one({"_id": song_id}, STATE, session=session))
        if document is None:
            return None
        return cls(
            song_id,
            document["born"],
            int(document["moved"]),
            document["high"],
            document["recent"],
            encoding.stats(document),
        )

    def ensure(self, transaction: Transaction, rating_id: str, event: Document) -> RatingStats | None:
        """Store an event, unless it is; return statistics that include it, or None where the song has changed."""
        if rating_id in self.recent:
            return self.stats
        if rating_id <= self.high:
            seq = _moved_when(transaction, self.born, rating_id)
            if seq is not None:
                # It was recent when `seq` events were moved. Unless more were by now, it came after this moment.
                return self.stats if seq < self.moved else None
        not_moved = {"$or": [{"moved": self.moved}, {"high": {"$lt": rating_id}}]}
        return book(transaction, self.id, rating_id, event, {"born": self.born}, not_moved)


def book(
    transaction: Transaction, song_id: str, rating_id: str, event: Document, *proof: Document
) -> RatingStats | None:
    """Store and count an event in one change of the song, where it is not recent and `proof` shows it is not moved.

    Returns:
        The statistics with it; None where the song is not there, has the event, or does not meet `proof`.
    """
    member = f"recent.{rating_id}"
    condition = {"$and": [{"_id": song_id, member: {"$exists": False}}, *proof]}
    change: dict[str, Any] = {"$inc": {f"n{event['value']}": 1}, "$set": {member: event}}
    document = transaction.write(
        lambda db, session: db[SONGS].find_one_and_update(
            condition,
            change,
            {**_COUNTERS, "moved": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
    )
    if document is None:
        return None
    stats = encoding.stats(document)
    recent = stats.count - int(document["moved"])
    if recent >= FULL and recent % STEP == 0:
        transaction.afterwards(lambda: move(transaction, song_id))
    return stats


def move(transaction: Transaction, song_id: str) -> None:
    """Move a song's older recent events to ``ratings``, so that its document stays small.

    They are inserted there first and then removed here, in a change that also notes it in `moved` and `high`. Whoever
    is interrupted in between leaves events in both places, which are the same: nobody counts them twice, and the
    next one who moves goes on. Of several at once one makes the change.
    """
    song = RatedSong.read(transaction, song_id)
    if song is None or len(song.recent) < FULL:
        return
    ids = sorted(song.recent)[:-KEPT]
    documents = [
        {"_id": f"{song.born}/{each}", "song": song_id, "seq": song.moved, **song.recent[each]} for each in ids
    ]
    # Some may be there already; an unordered insertion leaves none of the others out.
    with contextlib.suppress(Conflict):
        transaction.write(lambda db, session: db[RATINGS].insert_many(documents, ordered=False, session=session))
    seen = {"_id": song_id, "born": song.born, "moved": song.moved}
    change: dict[str, Any] = {
        "$unset": {f"recent.{each}": "" for each in ids},
        "$inc": {"moved": len(ids)},
        "$max": {"high": ids[-1]},
    }
    transaction.write(lambda db, session: db[SONGS].update_one(seen, change, session=session))


def _moved_when(transaction: Transaction, born: str, rating_id: str) -> int | None:
    key = {"_id": f"{born}/{rating_id}"}
    document = transaction.read(lambda db, session: db[RATINGS].find_one(key, {"seq": 1}, session=session))
    return None if document is None else int(document["seq"])
