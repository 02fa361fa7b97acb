"""Statements that fail, for the contract kit: with the errors of a disk that is full, or cannot be synced."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, ParamSpec, TypeVar

from songs_sqlite.connection import Connection
from songs_sqlite.settings import SqliteSettings

P = ParamSpec("P")
T = TypeVar("T")

_CODES: Final = {"before": sqlite3.SQLITE_FULL, "after": sqlite3.SQLITE_IOERR_FSYNC}
"""What SQLite says where it wrote nothing, and where it cannot tell what reached the disk."""


class FailingStatements:
    """Lets one statement fail, whichever connection it is for. COMMIT is one; ROLLBACK, which cannot fail, is not."""

    def __init__(self) -> None:
        self.failed = False
        self._left = 0
        self._when: Literal["before", "after"] = "before"

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let the statement number `call` from now on fail, before or after it was run."""
        self._left, self._when, self.failed = call, when, False

    def heal(self) -> None:
        """Let none fail."""
        self._left = 0

    def counting(self, run: Callable[P, T]) -> Callable[P, T]:
        """Return `run`, which runs one statement, with the one failure in it."""

        def counted(*arguments: P.args, **options: P.kwargs) -> T:
            self._left -= 1
            if self._left == 0:
                if self._when == "after":
                    run(*arguments, **options)
                self.failed = True
                error = sqlite3.OperationalError("a planted fault")
                error.sqlite_errorcode = _CODES[self._when]
                raise error
            return run(*arguments, **options)

        return counted


@contextmanager
def faults(_settings: SqliteSettings) -> Iterator[FailingStatements]:
    """Yield what lets statements of this process fail, also on connections that are open."""
    found = FailingStatements()
    whole = {name: getattr(Connection, name) for name in ("rows", "change", "change_each")}
    for name, run in whole.items():
        setattr(Connection, name, found.counting(run))
    try:
        yield found
    finally:
        for name, run in whole.items():
            setattr(Connection, name, run)
