"""The rating repository: a song's newest ratings are in its document, the older ones in ``ratings``.

A rating is one change of its song's document: it counts the value and puts the event into `recent`, if the song is
there and does not hold the event. That is atomic on any MongoDB, cannot bring a deleted song back, and lets the server
put concurrent ratings of one song in a row instead of refusing them.

*Stored once.* An event that is not recent may have been moved. Event ids grow with time, so a new one is greater than
`high`, the greatest that was moved: the change asks for that, and one command is all. Where it is not so (a repeated
call, a clock that is behind), the song is read, then ``ratings``, and the change asks that nothing was moved since.

*Keys.* A rating with a key first claims it, in ``claims``, with the whole event and the song's `born`; only then
the event is stored. A claim whose song is gone counts as free, and is replaced by compare-and-set. A unit that finds a
claim of a song that is there stores the claimed event, if it is not stored yet, and answers as one who came after it:
so a process that dies, or a connection that breaks, between claim and event leaves a key that works for everybody. A
claim is never withdrawn; an error after it is therefore `OutcomeUnknown`.

*Orphans.* A deleted song leaves events and claims behind, under its `born`, which nothing ever reads again. They are
removed right after the deletion. Those that are left over then (the process died, there were too many, a rating came at
that moment) are swept later, whenever the storage is prepared.
"""

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.errors import Conflict, SongNotFound
from songs.limits import is_id
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_mongo import encoding
from songs_mongo.encoding import BORN_BYTES
from songs_mongo.schema import CLAIMS, RATINGS, SONGS, Document, Transaction, in_one_batch
from songs_plugins.decisions import check_key
from songs_plugins.values import LARGEST_INT32, UNREADABLE, clamped, comparable, damaged

BATCH: Final = 1000
BATCHES: Final = 20
PAGES: Final = 200
"""How many batches of records one sweep looks at."""


def events_of(incarnation: str, *, after_id: str = "") -> Document:
    """Return the condition on ``ratings`` for the events of one incarnation of a song."""
    # "0" follows "/" in ASCII: this is the range of all keys that begin with it and a slash.
    return {"$gt": f"{incarnation}/{after_id}", "$lt": f"{incarnation}0"}


def remove_orphans(transaction: Transaction, incarnation: str) -> None:
    """Remove events and claims, at most `BATCHES` batches of each; what is left over is ignored."""
    for collection, condition in ((RATINGS, {"_id": events_of(incarnation)}), (CLAIMS, {"born": incarnation})):
        for _ in range(BATCHES):
            if _remove_batch(transaction, collection, condition) < BATCH:
                break


def sweep(transaction: Transaction) -> int:
    """Remove what deleted songs left behind, as far as `PAGES` pages go; return of how many songs it found something.

    Safe while others work, and safe to interrupt: a song that is not there under this `born`, looked for after a record
    of it was seen, never comes back. It begins anywhere, so that many sweeps reach everything, however much there is.
    """
    middle = secrets.token_urlsafe(BORN_BYTES)
    found = 0
    for page_after in (_page_of_ratings, _page_of_claims):
        after, wrapped = middle, False
        for _ in range(PAGES):
            song_of = page_after(transaction, after)
            found += _remove_gone(transaction, song_of)
            after = max(song_of, default=after)
            if not song_of or (wrapped and after > middle):
                if wrapped:
                    break
                after, wrapped = "", True
    return found


def _page_of_ratings(transaction: Transaction, after: str) -> dict[str, str]:
    """Return some songs' ids by their incarnation, the next ones after one: a song's further events are passed over."""
    beyond = {"_id": {"$gt": f"{after}0" if after else ""}}
    page = transaction.read(
        lambda db, session: list(
            in_one_batch(db[RATINGS].find(beyond, {"song": 1}, session=session).sort("_id", 1).limit(BATCH), BATCH)
        )
    )
    # A record that is damaged does not say whose it is, and is left alone.
    return {document["_id"].partition("/")[0]: document["song"] for document in page if _has(document, "song")}


def _page_of_claims(transaction: Transaction, after: str) -> dict[str, str]:
    beyond = {"born": {"$gt": after}}
    # The index holds both members; the documents are not looked at.
    members = {"_id": 0, "born": 1, "song": 1}
    page = transaction.read(
        lambda db, session: list(
            in_one_batch(db[CLAIMS].find(beyond, members, session=session).sort("born", 1).limit(BATCH), BATCH)
        )
    )
    return {document["born"]: document["song"] for document in page if _has(document, "song")}


def _has(document: Document, member: str) -> bool:
    return isinstance(document.get(member), str)


def _remove_gone(transaction: Transaction, song_of: dict[str, str]) -> int:
    if not song_of:
        return 0
    wanted = {"_id": {"$in": sorted(set(song_of.values()))}}
    songs = transaction.read(
        lambda db, session: list(in_one_batch(db[SONGS].find(wanted, {"born": 1}, session=session), len(song_of)))
    )
    # A song that is damaged may be the one that all of its records belong to.
    unsure = {song["_id"] for song in songs if not _has(song, "born")}
    gone = {incarnation for incarnation, song_id in song_of.items() if song_id not in unsure} - {
        song.get("born") for song in songs
    }
    for incarnation in gone:
        remove_orphans(transaction, incarnation)
    return len(gone)


def _remove_batch(transaction: Transaction, collection: str, condition: Document) -> int:
    found = transaction.read(
        lambda db, session: list(
            in_one_batch(db[collection].find(condition, {"_id": 1}, session=session).limit(BATCH), BATCH)
        )
    )
    if not found:
        return 0
    ids = {"_id": {"$in": [document["_id"] for document in found]}, **({} if "_id" in condition else condition)}
    transaction.write(lambda db, session: db[collection].delete_many(ids, session=session), many=True)
    return len(found)


FULL: Final = 16
"""From so many recent events on they are moved."""
KEPT: Final = 4
"""So many of the newest stay: a rating whose id is a little older than the newest then needs no further look."""
STEP: Final = 4
"""How many more ratings come before someone else tries to move them, if the one that should have did not."""

_COUNTERS: Final = dict.fromkeys(encoding.COUNTERS, 1)
STATE: Final = {**_COUNTERS, "born": 1, "moved": 1, "high": 1, "recent": 1}
"""The members of a song's document that concern its ratings."""


@dataclass(frozen=True, slots=True)
class RatedSong:
    """The ratings in a song's document, at one moment."""

    id: str
    incarnation: str
    moved: int
    high: str
    recent: Mapping[str, Document]
    stats: RatingStats

    @classmethod
    def read(cls, transaction: Transaction, song_id: str) -> "RatedSong | None":
        """Return the song, or None where it is missing."""

        def commands(db: Database[Document], session: ClientSession | None) -> RatedSong | None:
            document = db[SONGS].find_one({"_id": song_id}, STATE, session=session)
            return None if document is None else cls.of(document)

        return transaction.read(commands)

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the ratings in a document that has at least the members of `STATE`."""
        song_id = document["_id"]
        try:
            recent = document["recent"]
            if not isinstance(recent, dict):
                raise TypeError("not a document")
            incarnation, high = encoding.text(document["born"]), encoding.text(document["high"])
            moved = encoding.count(document["moved"])
        except UNREADABLE as error:
            raise damaged("song", song_id, error) from error
        return cls(song_id, incarnation, moved, high, recent, encoding.stats(document))

    def ensure(self, transaction: Transaction, rating_id: str, event: Document) -> RatingStats | None:
        """Store an event, unless it is; return statistics that include it, or None where the song has changed."""
        if rating_id in self.recent:
            return self.stats
        if rating_id <= self.high:
            seq = _moved_when(transaction, self.incarnation, rating_id)
            if seq is not None:
                # It was recent when `seq` events were moved. Unless more were by now, it came after this moment.
                return self.stats if seq < self.moved else None
        not_moved = {"$or": [{"moved": self.moved}, {"high": {"$lt": rating_id}}]}
        return record(transaction, self.id, rating_id, event, {"born": self.incarnation}, not_moved)


def record(
    transaction: Transaction, song_id: str, rating_id: str, event: Document, *proof: Document
) -> RatingStats | None:
    """Store and count an event in one change of the song, where it is not recent and `proof` shows it is not moved.

    Returns:
        The statistics with it; None where the song is not there, has the event, or does not meet `proof`.
    """
    member = f"recent.{rating_id}"
    condition = {"$and": [{"_id": song_id, member: {"$exists": False}}, *proof]}
    change: dict[str, Any] = {"$inc": {f"n{event['value']}": 1}, "$set": {member: event}}

    def commands(db: Database[Document], session: ClientSession | None) -> tuple[RatingStats, object] | None:
        document = db[SONGS].find_one_and_update(
            condition,
            change,
            {**_COUNTERS, "moved": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return None if document is None else (encoding.stats(document), document.get("moved"))

    found = transaction.write(commands)
    if found is None:
        return None
    stats, moved = found
    recent = stats.count - moved if isinstance(moved, int | float) else 0
    if recent >= FULL and recent % STEP == 0:
        transaction.afterwards(lambda: archive(transaction, song_id))
    return stats


def archive(transaction: Transaction, song_id: str) -> None:
    """Move a song's older recent events to ``ratings``, so that its document stays small.

    They are inserted there first and then removed here, in a change that also notes it in `moved` and `high`. A
    process that dies in between leaves events in both places, which are the same: nobody counts them twice, and the
    next one who moves goes on. Of several at once one makes the change.
    """
    song = RatedSong.read(transaction, song_id)
    if song is None or len(song.recent) < FULL:
        return
    ids = sorted(song.recent)[:-KEPT]
    events = {each: encoding.event(encoding.rating(song_id, each, song.recent[each])) for each in ids}
    documents = [
        {"_id": f"{song.incarnation}/{each}", "song": song_id, "seq": song.moved, **event}
        for each, event in events.items()
    ]
    # Some may be there already; an unordered insertion leaves none of the others out.
    with contextlib.suppress(Conflict):
        transaction.write(
            lambda db, session: db[RATINGS].insert_many(documents, ordered=False, session=session), many=True
        )
    seen = {"_id": song_id, "born": song.incarnation, "moved": song.moved}
    change: dict[str, Any] = {
        "$unset": {f"recent.{each}": "" for each in ids},
        "$inc": {"moved": len(ids)},
        "$max": {"high": ids[-1]},
    }
    transaction.write(lambda db, session: db[SONGS].update_one(seen, change, session=session))


def _moved_when(transaction: Transaction, incarnation: str, rating_id: str) -> int | None:
    key = {"_id": f"{incarnation}/{rating_id}"}

    def commands(db: Database[Document], session: ClientSession | None) -> int | None:
        document = db[RATINGS].find_one(key, {"seq": 1}, session=session)
        return None if document is None else encoding.moved_when(document)

    return transaction.read(commands)


ATTEMPTS: Final = 20


class MongoRatings:
    """The ratings."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rating: Rating) -> RatingReceipt:
        self._transaction.writing()
        if rating.key is not None:
            return self._add_keyed(rating, encoding.digest(rating.user_id, rating.key))
        event = encoding.event(rating)
        stats = record(self._transaction, rating.song_id, rating.id, event, {"high": {"$lt": rating.id}})
        for _ in range(ATTEMPTS):
            if stats is not None:
                return RatingReceipt(stats, rating.id)
            stats = self._song(rating.song_id).ensure(self._transaction, rating.id, event)
        raise self._transaction.given_up()

    def stats(self, song_id: str) -> RatingStats | None:
        if not is_id(song_id):
            return None
        document = self._transaction.read(
            lambda db, session: db[SONGS].find_one({"_id": song_id}, _COUNTERS, session=session)
        )
        return None if document is None else encoding.stats(document)

    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        after, most = comparable(after_id or ""), clamped(limit, LARGEST_INT32)
        song = RatedSong.read(self._transaction, song_id) if is_id(song_id) else None
        if song is None or most == 0:
            return ()
        # In this order: an event that is moved in between is seen twice, never missed.
        moved = {"_id": events_of(song.incarnation, after_id=after)}
        found = self._transaction.read(
            lambda db, session: list(
                in_one_batch(db[RATINGS].find(moved, session=session).sort("_id", 1).limit(most), most)
            )
        )
        events = {document["_id"].partition("/")[2]: document for document in found}
        events |= {each: event for each, event in song.recent.items() if each > after}
        return tuple(encoding.rating(song_id, each, events[each]) for each in sorted(events)[:most])

    def _add_keyed(self, rating: Rating, key: str) -> RatingReceipt:
        for _ in range(ATTEMPTS):
            song = self._song(rating.song_id)
            mine = encoding.Claim(key, song.incarnation, rating)
            claim = self._claimed(mine)
            if claim is None:
                continue
            holder = song if claim.incarnation == song.incarnation else self._alive(claim)
            if holder is None:
                if not self._take_over(claim, mine):
                    continue
                claim, holder = mine, song
            claimed = claim.rating
            stats = holder.ensure(self._transaction, claimed.id, encoding.event(claimed))
            if stats is None:
                continue
            check_key(rating, song_id=claimed.song_id, value=claimed.value)
            return RatingReceipt(stats, claimed.id)
        raise self._transaction.given_up()

    def _song(self, song_id: str) -> RatedSong:
        song = RatedSong.read(self._transaction, song_id)
        if song is None:
            raise SongNotFound
        return song

    def _alive(self, claim: encoding.Claim) -> RatedSong | None:
        """Return the song of a claim, if it is the one that was there when the key was claimed."""
        song = RatedSong.read(self._transaction, claim.rating.song_id)
        return song if song is not None and song.incarnation == claim.incarnation else None

    def _claimed(self, mine: encoding.Claim) -> encoding.Claim | None:
        """Claim a key, unless somebody has; return the claim that holds, or None where it has just been removed."""
        if self._transaction.transactional:
            claim = self._claim(mine.id)
            if claim is not None:
                return claim
        try:
            self._transaction.write(lambda db, session: db[CLAIMS].insert_one(mine.document(), session=session))
        except Conflict:
            return self._claim(mine.id)
        return mine

    def _claim(self, key: str) -> encoding.Claim | None:
        def commands(db: Database[Document], session: ClientSession | None) -> encoding.Claim | None:
            document = db[CLAIMS].find_one({"_id": key}, session=session)
            return None if document is None else encoding.Claim.of(document)

        return self._transaction.read(commands)

    def _take_over(self, claim: encoding.Claim, mine: encoding.Claim) -> bool:
        seen = {"_id": claim.id, "born": claim.incarnation, "rating": claim.rating.id}
        return self._transaction.write(
            lambda db, session: db[CLAIMS].replace_one(seen, mine.document(), session=session).matched_count > 0
        )
