"""What a repository needs of its unit of work."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from pymongo.client_session import ClientSession
from pymongo.database import Database

from songs.errors import SongsError
from songs_mongo.schema import Document

T = TypeVar("T")
Commands = Callable[[Database[Document], ClientSession | None], T]
"""Commands on the database, each of which is given the session."""


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

    def write(self, commands: Commands[T]) -> T:
        """Run commands of a write; return what they return.

        Raises:
            Conflict: A unique member is taken (outside of a transaction; within one, that is a `TransientConflict`).
        """
        ...

    def given_up(self) -> SongsError:
        """Return the error for a write that others were in the way of too often."""
        ...

    def afterwards(self, tidy: Callable[[], None]) -> None:
        """Have `tidy` run once the unit's writes are kept. It runs outside of the transaction, and may fail."""
        ...
