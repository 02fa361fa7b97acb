"""What a deleted song leaves behind: events and claims under its `born`, which nothing ever reads again."""

from typing import Final

from songs_mongo.schema import CLAIMS, RATINGS, Document
from songs_mongo.transaction import Transaction

BATCH: Final = 1000
BATCHES: Final = 20


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


def _remove_batch(transaction: Transaction, collection: str, condition: Document) -> int:
    found = transaction.read(
        lambda db, session: list(db[collection].find(condition, {"_id": 1}, session=session).limit(BATCH))
    )
    if not found:
        return 0
    ids = {"_id": {"$in": [document["_id"] for document in found]}, **({} if "_id" in condition else condition)}
    transaction.write(lambda db, session: db[collection].delete_many(ids, session=session))
    return len(found)
