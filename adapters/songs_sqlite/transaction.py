"""What a repository needs of its unit of work."""

from collections.abc import Iterable
from typing import Protocol

from songs_sqlite.connection import Parameters, Row


class Transaction(Protocol):
    """Statements of one transaction, with errors translated."""

    def writing(self) -> None:
        """Begin one write, of any number of statements; raise `ScopeViolation` where the unit may not write."""
        ...

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement; return its rows."""
        ...

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement of a write; return how many rows it changed."""
        ...

    def leave_behind(self) -> None:
        """Note that ratings of a song that is gone are left, to be removed after the commit."""
        ...

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement of a write once for each of `parameters`; return how many rows that changed altogether."""
        ...
