"""What a deleted song leaves behind: events and claims under its `born`, which nothing ever reads again.

Whoever deletes a song removes them afterwards. What is left over (the process died, there were too many, somebody
rated in that moment) is swept later, whenever the storage is prepared.
"""

import secrets
from typing import Final

from songs_mongo.encoding import BORN_BYTES
from songs_mongo.schema import CLAIMS, RATINGS, SONGS, Document
from songs_mongo.transaction import Transaction, in_one_batch

BATCH: Final = 1000
BATCHES: Final = 20
PAGES: Final = 200
"""How many batches of records one sweep looks at."""


def events_of(born: str, *, after_id: str = "") -> Document:
    """Return the condition on ``ratings`` for the events of one incarnation of a song."""
    # "0" follows "/" in ASCII: this is the range of all keys that begin with `born` and a slash.
    return {"$gt": f"{born}/{after_id}", "$lt": f"{born}0"}


def remove_leftovers(transaction: Transaction, born: str) -> None:
    """Remove events and claims, at most `BATCHES` batches of each; what is left over is ignored."""
    for collection, condition in ((RATINGS, {"_id": events_of(born)}), (CLAIMS, {"born": born})):
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
    """Return some songs' ids by their `born`, the next ones after one: a song's further events are passed over."""
    beyond = {"_id": {"$gt": f"{after}0" if after else ""}}
    page = transaction.read(
        lambda db, session: list(
            in_one_batch(db[RATINGS].find(beyond, {"song": 1}, session=session).sort("_id", 1).limit(BATCH), BATCH)
        )
    )
    return {document["_id"].partition("/")[0]: document["song"] for document in page}


def _page_of_claims(transaction: Transaction, after: str) -> dict[str, str]:
    beyond = {"born": {"$gt": after}}
    # The index holds both members; the documents are not looked at.
    members = {"_id": 0, "born": 1, "song": 1}
    page = transaction.read(
        lambda db, session: list(
            in_one_batch(db[CLAIMS].find(beyond, members, session=session).sort("born", 1).limit(BATCH), BATCH)
        )
    )
    return {document["born"]: document["song"] for document in page}


def _remove_gone(transaction: Transaction, song_of: dict[str, str]) -> int:
    if not song_of:
        return 0
    wanted = {"_id": {"$in": sorted(set(song_of.values()))}}
    songs = transaction.read(
        lambda db, session: list(in_one_batch(db[SONGS].find(wanted, {"born": 1}, session=session), len(song_of)))
    )
    gone = song_of.keys() - {song["born"] for song in songs}
    for born in gone:
        remove_leftovers(transaction, born)
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
    transaction.write(lambda db, session: db[collection].delete_many(ids, session=session))
    return len(found)
