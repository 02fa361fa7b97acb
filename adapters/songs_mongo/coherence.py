"""The coherence record."""

from pymongo import ReturnDocument

from songs.errors import StorageMismatch
from songs.ports.coherence import CoherenceRecord
from songs_mongo.schema import COHERENCE, META, Document
from songs_mongo.transaction import Transaction


class MongoCoherence:
    """The coherence record: one document, which `prepare` makes."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        document = self._transaction.read(lambda db, session: db[META].find_one({"_id": COHERENCE}, session=session))
        return _record(document)

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        document = self._transaction.write(
            lambda db, session: db[META].find_one_and_update(
                {"_id": COHERENCE, "epoch": expected_epoch},
                {"$inc": {"epoch": 1}, "$set": {"cache_on": cache_on, "cache": cache}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
        )
        return self.read() if document is None else _record(document)


def _record(document: Document | None) -> CoherenceRecord:
    if document is None:
        raise StorageMismatch("The database lacks the coherence record; run `songs prepare`.")
    # One that no process of this version has advanced yet names no cache.
    return CoherenceRecord(document["epoch"], bool(document["cache_on"]), document.get("cache", ""))
