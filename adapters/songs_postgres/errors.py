"""PostgreSQL's errors in the terms of the port, by SQLSTATE (PostgreSQL's documentation, appendix A).

Before COMMIT is sent nothing of a transaction is kept, whatever happens: so `OutcomeUnknown` is for a commit alone.
"""

from typing import Final

import psycopg
from psycopg import errors as states

from songs.errors import (
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    SongsError,
    StorageDamaged,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)

_IN_THE_WAY: Final = (
    states.SerializationFailure,
    states.DeadlockDetected,
    # Every write looks before it inserts, so another one came between; the next attempt will see what it stored.
    states.UniqueViolation,
    states.ForeignKeyViolation,
)
_DAMAGE: Final[dict[type[psycopg.Error], str]] = {
    # What callers bring is in range: a counter or a total that was stored is not.
    states.NumericValueOutOfRange: "A stored counter or total is damaged: it is out of range. "
    "Correct it in the database, or restore a backup.",
    states.DataCorrupted: "A file of the database server is damaged. Restore a backup.",
    states.IndexCorrupted: "An index of the database is damaged; run REINDEX DATABASE.",
}
_ENDS_OF_A_SESSION: Final = ("FATAL", "PANIC")
_DETAILS: Final[dict[type[psycopg.Error], str]] = {
    states.DiskFull: "The database server's disk is full; nothing was changed. Free some space.",
    states.TooManyConnections: "The database server has no connection left; "
    "raise max_connections or use fewer workers.",
    states.ReadOnlySqlTransaction: "The database server only reads (is it a standby?); nothing was changed.",
    states.InsufficientPrivilege: "The database user may not do this; grant it the rights of docs/operations.md.",
    states.InvalidPassword: "The database server refused the user name or the password of SONGS_POSTGRES_URL.",
    states.InvalidAuthorizationSpecification: "The database server refused the user of SONGS_POSTGRES_URL; "
    "check pg_hba.conf.",
    states.InvalidCatalogName: "There is no such database; create it with `createdb --encoding=UTF8 NAME`.",
    states.CannotConnectNow: "The database server is starting up or shutting down; nothing was changed.",
}


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer in time; the connection was closed."""


def translated(error: psycopg.Error | UnicodeError) -> SongsError:
    """Return the error that a caller of the port sees for one that a statement other than COMMIT raised."""
    match error:
        case psycopg.Error() if type(error) in _DAMAGE:
            return StorageDamaged(_DAMAGE[type(error)])
        case UnicodeError() | psycopg.DataError():
            return InvalidInput([FieldError("", "holds text or a number that cannot be stored")])
        case states.QueryCanceled():
            return DeadlineExceeded()
        case states.UndefinedTable() | states.UndefinedColumn() | states.InvalidSchemaName():
            return StorageMismatch("The database lacks a table or column of this version; run `songs prepare`.")
        case _ if isinstance(error, _IN_THE_WAY):
            return TransientConflict()
        case NoAnswerError():
            other = "The database did not answer in time; nothing was changed."
        case psycopg.OperationalError() if error.sqlstate is None:
            other = "The connection to the database broke; nothing was changed."
        case _:
            other = f"The database refused a statement ({error.sqlstate}); nothing was changed."
    return StorageUnavailable(_DETAILS.get(type(error), other))


def translated_commit(error: psycopg.Error) -> SongsError:
    """Return the error that a caller of the port sees for one that COMMIT raised."""
    # An answer of the server says that it rolled back; no answer says nothing, and neither does a server that goes.
    # It goes whenever it cannot write its log, with the SQLSTATE of the disk: the commit may be in the log already.
    goes = error.diag.severity_nonlocalized in _ENDS_OF_A_SESSION
    answered = not goes and error.sqlstate is not None and not error.sqlstate.startswith(("57P", "08", "XX"))
    return translated(error) if answered and not isinstance(error, states.QueryCanceled) else OutcomeUnknown()


def unreachable(error: psycopg.Error) -> SongsError:
    """Return the error that a caller of the port sees when no connection could be made."""
    if isinstance(error, psycopg.ProgrammingError):
        return StorageUnavailable("SONGS_POSTGRES_URL cannot be used; check its options.")
    detail = _DETAILS.get(type(error))
    # When a server refuses a connection, libpq gives its message alone, and no code; it may name host and user.
    text = str(error)
    if detail is None:
        detail = next((_DETAILS[kind] for phrase, kind in _REFUSALS.items() if phrase in text), _UNREACHABLE)
    return StorageUnavailable(detail)


_UNREACHABLE: Final = (
    "The database cannot be reached; nothing was changed. Check that PostgreSQL runs and SONGS_POSTGRES_URL is right."
)
_REFUSALS: Final[dict[str, type[psycopg.Error]]] = {
    "password authentication failed": states.InvalidPassword,
    "no pg_hba.conf entry": states.InvalidAuthorizationSpecification,
    "too many clients": states.TooManyConnections,
    "remaining connection slots": states.TooManyConnections,
    "the database system is": states.CannotConnectNow,
    "session is read-only": states.ReadOnlySqlTransaction,
    "server is in hot standby mode": states.ReadOnlySqlTransaction,
    '" does not exist': states.InvalidCatalogName,
}
