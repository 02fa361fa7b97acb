"""What a repository needs of its unit of work."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from pymongo.client_session import ClientSession
from pymongo.cursor import Cursor
from pymongo.database import Database

from songs.errors import SongsError
from songs_mongo.schema import Document

T = TypeVar("T")
Commands = Callable[[Database[Document], ClientSession | None], T]
"""Commands on the database, each of which is given the session."""

LARGEST_BATCH: Final = 10_000


def in_one_batch(cursor: Cursor[Document], most: int) -> Cursor[Document]:
    """Return a cursor that fetches up to `most` documents in one round trip.

    By default the server's first answer holds 101. What does not fit into one answer (16 MiB) takes several still.
    """
    return cursor.batch_size(max(1, min(most + 1, LARGEST_BATCH)))


class Transaction(Protocol):
    """Commands of one unit of work, bounded by its deadline, with errors translated."""

    @property
    def transactional(self) -> bool:
        """Whether the commands are part of a transaction, which the first error of the server ends."""
        ...

    def writing(self) -> None:
        """Begin one write, of any number of commands; raise `ScopeViolation` where the unit may not write."""
        ...

    def read(self, commands: Commands[T]) -> T:
        """Run commands that change nothing; return what they return."""
        ...

    def try_to_read(self, commands: Commands[T]) -> T | None:
        """Run commands whose result only makes others faster, with a part of the time; return it, or None.

        It is None where they fail, take too long, or would be part of a transaction, which a failure of theirs ends.
        """
        ...

    def write(self, commands: Commands[T]) -> T:
        """Run commands of a write; return what they return.

        Raises:
            Conflict: A unique member is taken (outside of a transaction; within one, that is a `TransientConflict`).
        """
        ...

    def confirm(self) -> None:
        """Return if the data are there still that the storage was opened with: after a write that does not show it.

        A change of a document that is there shows it. An insertion creates whatever is missing, and what removes
        nothing may have looked in a database that was dropped.
        """
        ...

    def given_up(self) -> SongsError:
        """Return the error for a write that others were in the way of too often."""
        ...

    def afterwards(self, tidy: Callable[[], None]) -> None:
        """Have `tidy` run once the unit's writes are kept. It runs outside of the transaction, and may fail."""
        ...
