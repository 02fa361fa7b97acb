"""The ratings and their statistics.

A rating is one change of its song's document: it counts the value and puts the event into `recent`, if the song is
there and does not hold the event. That is atomic on any MongoDB, cannot bring a deleted song back, and lets the server
put concurrent ratings of one song in a row instead of refusing them.

*Stored once.* An event that is not recent may have been moved. Event ids grow with time, so a new one is greater than
`high`, the greatest that was moved: the change asks for that, and one command is all. Where it is not so (a repeated
call, a clock that is behind), the song is read, then ``ratings``, and the change asks that nothing was moved since.

*Keys.* Whoever rates with a key first claims it, in ``claims``, with the whole event and the song's `born`; only then
the event is stored. A claim whose song is gone counts as free, and is replaced by compare-and-set. Whoever finds a
claim of a song that is there stores the claimed event, if it is not stored yet, and answers as one who came after it:
so a process that dies, or a connection that breaks, between claim and event leaves a key that works for everybody. A
claim is never withdrawn; an error after it is therefore `OutcomeUnknown`.
"""

from typing import Final

from songs.errors import Conflict, KeyReused, SongNotFound
from songs.limits import is_id
from songs.model import Rating, RatingStats
from songs.ports.ratings import RatingReceipt
from songs_mongo import encoding
from songs_mongo.leftovers import events_of
from songs_mongo.rated_song import RatedSong, book
from songs_mongo.schema import CLAIMS, RATINGS, SONGS, Document
from songs_mongo.transaction import Transaction, in_one_batch

ATTEMPTS: Final = 20
_COUNTERS: Final = dict.fromkeys(encoding.COUNTERS, 1)


class MongoRatings:
    """The ratings."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, rating: Rating) -> RatingReceipt:
        self._transaction.writing()
        event = encoding.event(rating)
        if rating.key is not None:
            return self._add_keyed(rating, event)
        stats = book(self._transaction, rating.song_id, rating.id, event, {"high": {"$lt": rating.id}})
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
        after, most = encoding.sought(after_id or ""), encoding.bounded(limit)
        song = RatedSong.read(self._transaction, song_id) if is_id(song_id) else None
        if song is None or most == 0:
            return ()
        # In this order: an event that is moved in between is seen twice, never missed.
        moved = {"_id": events_of(song.born, after_id=after)}
        found = self._transaction.read(
            lambda db, session: list(
                in_one_batch(db[RATINGS].find(moved, session=session).sort("_id", 1).limit(most), most)
            )
        )
        events = {document["_id"].partition("/")[2]: document for document in found}
        events |= {each: event for each, event in song.recent.items() if each > after}
        return tuple(encoding.rating(song_id, each, events[each]) for each in sorted(events)[:most])

    def _add_keyed(self, rating: Rating, event: Document) -> RatingReceipt:
        for _ in range(ATTEMPTS):
            song = self._song(rating.song_id)
            mine = _claim(rating, event, song.born)
            claim = self._claimed(mine)
            if claim is None:
                continue
            holder = song if claim["born"] == song.born else self._alive(claim)
            if holder is None:
                if not self._take_over(claim, mine):
                    continue
                claim, holder = mine, song
            claimed = {name: claim[name] for name in event}
            stats = holder.ensure(self._transaction, claim["rating"], claimed)
            if stats is None:
                continue
            if (claim["song"], claim["value"]) != (rating.song_id, rating.value):
                raise KeyReused
            return RatingReceipt(stats, claim["rating"])
        raise self._transaction.given_up()

    def _song(self, song_id: str) -> RatedSong:
        song = RatedSong.read(self._transaction, song_id)
        if song is None:
            raise SongNotFound
        return song

    def _alive(self, claim: Document) -> RatedSong | None:
        """Return the song of a claim, if it is the one that was there when the key was claimed."""
        song = RatedSong.read(self._transaction, claim["song"])
        return song if song is not None and song.born == claim["born"] else None

    def _claimed(self, mine: Document) -> Document | None:
        """Claim a key, unless somebody has; return the claim that holds, or None where it has just been removed."""
        key = {"_id": mine["_id"]}
        if self._transaction.transactional:
            claim = self._transaction.read(lambda db, session: db[CLAIMS].find_one(key, session=session))
            if claim is not None:
                return claim
        try:
            self._transaction.write(lambda db, session: db[CLAIMS].insert_one(dict(mine), session=session))
        except Conflict:
            return self._transaction.read(lambda db, session: db[CLAIMS].find_one(key, session=session))
        return mine

    def _take_over(self, claim: Document, mine: Document) -> bool:
        seen = {"_id": claim["_id"], "born": claim["born"], "rating": claim["rating"]}
        return self._transaction.write(
            lambda db, session: db[CLAIMS].replace_one(seen, mine, session=session).matched_count > 0
        )


def _claim(rating: Rating, event: Document, born: str) -> Document:
    key = encoding.digest(rating.user_id, rating.key or "")
    return {"_id": key, "song": rating.song_id, "born": born, "rating": rating.id, **event}
