"""The coherence record."""

from typing import Final

from songs.errors import StorageMismatch
from songs.ports.coherence import CoherenceRecord
from songs_postgres.transaction import Transaction

READ: Final = "SELECT epoch, cache_on, cache FROM coherence"
ADVANCE: Final = (
    "UPDATE coherence SET epoch = epoch + 1, cache_on = %s, cache = %s WHERE epoch = %s "
    "RETURNING epoch, cache_on, cache"
)


class PostgresCoherence:
    """The coherence record, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        rows = self._transaction.rows(READ)
        if not rows:
            # As while a dump is being restored.
            raise StorageMismatch("The database lacks the coherence record; restore a backup.")
        return CoherenceRecord(*rows[0])

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        moved = self._transaction.rows(ADVANCE, (cache_on, cache, expected_epoch))
        return CoherenceRecord(*moved[0]) if moved else self.read()
