"""The coherence record."""

from typing import Final

from songs.errors import StorageMismatch
from songs.ports.coherence import CoherenceRecord
from songs_sqlite.transaction import Transaction

READ: Final = "SELECT epoch, cache_on, cache FROM coherence"
ADVANCE: Final = "UPDATE coherence SET epoch = epoch + 1, cache_on = ?, cache = ? WHERE only = 1 AND epoch = ?"


class SqliteCoherence:
    """The coherence record, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        rows = self._transaction.rows(READ)
        if not rows:
            raise StorageMismatch("The database lacks the coherence record; restore a backup.")
        epoch, cache_on, cache = rows[0]
        return CoherenceRecord(epoch, bool(cache_on), cache)

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        self._transaction.change(ADVANCE, (cache_on, cache, expected_epoch))
        return self.read()
