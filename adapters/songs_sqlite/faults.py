"""Statements that fail, for the contract kit: with the errors of a disk that is full, or cannot be synced."""

import sqlite3
from contextlib import AbstractContextManager
from typing import Final, Literal

from songs_plugins import FailingCalls, failing
from songs_sqlite.connection import Connection
from songs_sqlite.settings import SqliteSettings

_CODES: Final = {"before": sqlite3.SQLITE_FULL, "after": sqlite3.SQLITE_IOERR_FSYNC}
"""What SQLite says where it wrote nothing, and where it cannot tell what reached the disk."""


def faults(_settings: SqliteSettings) -> AbstractContextManager[FailingCalls]:
    """Return what lets statements of this process fail, also on connections that are open.

    COMMIT is one; ROLLBACK, which cannot fail, is not.
    """
    return failing(Connection, "rows", "change", "change_each", error=_error)


def _error(when: Literal["before", "after"]) -> Exception:
    error = sqlite3.OperationalError("a planted fault")
    error.sqlite_errorcode = _CODES[when]
    return error
