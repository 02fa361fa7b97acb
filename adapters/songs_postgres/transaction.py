"""What a repository needs of its unit of work."""

from collections.abc import Sequence
from typing import LiteralString, Protocol

from songs_postgres.connection import Row


class Transaction(Protocol):
    """Statements of one transaction, with errors translated."""

    def writing(self) -> None:
        """Begin one write, of any number of statements; raise `ScopeViolation` where the unit may not write."""
        ...

    def leave_behind(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        ...

    def rows(self, sql: LiteralString, parameters: Sequence[object] = (), *, prepare: bool | None = None) -> list[Row]:
        """Run a statement; return its rows, none where it has none to return."""
        ...
