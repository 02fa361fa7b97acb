"""Whether the data in the database are those that were there before: told by a random text, which `prepare` stores.

MongoDB creates a database, a collection, whatever is written to, without the unique indexes: a write to a database that
was dropped succeeds. So every write that would succeed there reads the record of the identity afterwards, and is not
acknowledged where it is missing or another. Once it was, every unit begins with that, until the data are back.
"""

from typing import Final

from songs.errors import StorageUnavailable
from songs_mongo.schema import IDENTITY, VERSION, Document


class Identity:
    """The identity that the data of one storage object are to have. Thread-safe.

    Args:
        database: The name of the database, for what is said of it.
    """

    def __init__(self, database: str) -> None:
        self._database: Final = database
        self._expected: str | None = None
        self.is_away = False
        """Whether other data, or none, were found where these should be."""

    def expect(self, identity: str | None) -> None:
        """Have this be the identity from now on; None: whichever is found first."""
        self._expected = identity
        self.is_away = False

    def take(self, record: Document | None) -> None:
        """Expect what the schema's record says, if there is one."""
        self.expect(_identity_in(record))

    def require(self, record: Document | None, identity: str | None) -> None:
        """Expect `identity`, or any where it is None; raise `StorageUnavailable` where that is not in the record."""
        self.expect(identity)
        self.compare(record)

    def compare(self, record: Document | None) -> str:
        """Return the identity in the schema's record.

        Raises:
            StorageUnavailable: It is not the one that is expected, or there is none.
        """
        found = _identity_in(record)
        if found is None or self._expected not in {None, found}:
            self.is_away = True
            raise self._error(found)
        self._expected = found
        self.is_away = False
        return found

    def _error(self, found: str | None) -> StorageUnavailable:
        if found is not None:
            return StorageUnavailable(
                f"The database {self._database!r} holds other data than before; restore them, or start the service "
                "again."
            )
        if self._expected is None:
            return StorageUnavailable(
                f"The database {self._database!r} was not prepared for this version; run `songs prepare`."
            )
        return StorageUnavailable(
            f"The data in the database {self._database!r} are gone; restore them, or start the service again."
        )


def _identity_in(record: Document | None) -> str | None:
    if record is None or record["version"] < VERSION:
        return None
    return record.get(IDENTITY)
