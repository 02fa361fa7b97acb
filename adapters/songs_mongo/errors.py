"""The driver's errors in the terms of the port.

A write that was sent and not answered may be kept, also where the driver sent it a second time by itself. The server's
labels decide before its codes do: `NoWritesPerformed` and, of a transaction, `TransientTransactionError` mean that
nothing was kept, `RetryableWriteError` that nobody knows.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bson.errors import InvalidBSON, InvalidDocument, InvalidStringData
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from songs.errors import (
    Conflict,
    DeadlineExceeded,
    FieldError,
    InvalidInput,
    OutcomeUnknown,
    SongsError,
    StorageClosed,
    StorageDamaged,
    StorageUnavailable,
    TransientConflict,
    Unsupported,
)
from songs_plugins.values import NO_SUCH_RECORD

NO_TRANSACTIONS: Final = frozenset({20, 263})
"""IllegalOperation, as a stand-alone server says it, and OperationNotSupportedInTransaction: that there are no
transactions they mean only where one was tried."""

IMPOSSIBLE: Final = frozenset({2, 9, 59, 72, 115, 148, 238, 303})
"""A command, or an option of one, that a deployment does not know."""

_DAMAGED: Final = frozenset({14, 28})
"""TypeMismatch and PathNotViable: a member that a change of ours is about holds another type."""
_DUPLICATE: Final = 11000
_OUT_OF_TIME: Final = 50
_NOT_PRIMARY: Final = frozenset({10107, 13435, 13436, 10058})
_IN_THE_WAY: Final = frozenset({24, 112, 225, 239, 246, 251, 256})
"""LockTimeout, WriteConflict, TransactionTooOld, SnapshotTooOld, SnapshotUnavailable, NoSuchTransaction,
TransactionCommitted."""
_INTERRUPTED: Final = frozenset({6, 7, 64, 89, 91, 189, 262, 9001, 11600, 11601, 11602})
"""The server, or its way to others, went away while it worked: whether a write was kept it does not say."""
_NOT_ALLOWED: Final = frozenset({13, 18, 8000})
_REFUSED: Final = {
    13: "The storage's user may not do this; grant it the role readWrite on the database.",
    18: "The storage refused the user name or the password of its URL.",
    8000: "The storage refused the user name or the password of its URL.",
    14031: "The storage's disk is full; nothing was changed. Free some space.",
}

_WHY_UNREACHABLE: Final = (
    (re.compile(r"certificate verify failed: ([^('\"]*[^('\" ])"), "its certificate does not verify: {}"),
    (
        re.compile(r"\[SSL[:\]]|SSL handshake failed|EOF occurred in violation of protocol"),
        "no TLS connection can be made with it",
    ),
    (
        re.compile("No replica set members available for replica set name"),
        "no server is of the set that it names",
    ),
    (re.compile("Name or service not known|No address associated|getaddrinfo"), "its host name is not known"),
    (
        re.compile("Could not reach any servers in"),
        "the members that its replica set names cannot be reached from here",
    ),
    (re.compile("Connection refused"), "its connections are refused"),
    (re.compile("Connection reset|connection closed"), "it breaks connections off; it may want TLS"),
    (re.compile("wire version"), "its version is too old or too new for the driver"),
    (re.compile("timed out"), "it does not answer"),
    (re.compile("No replica set members match|No primary available"), "its replica set has no primary now"),
)
"""The driver's words for the servers that it tried, and ours, without names of hosts and sets."""


def translated(
    error: PyMongoError,
    *,
    writing: bool,
    many: bool = False,
    in_transaction: bool = False,
    failed_before: bool = False,
) -> SongsError:
    """Return the error that a caller of the port sees for one of a command other than a commit.

    Args:
        error: The driver's.
        writing: The command was a write.
        many: It was one of many documents, each of which is changed or not.
        in_transaction: It was part of a transaction: nothing of it is kept before the commit.
        failed_before: The driver had sent it before, and that attempt had failed too.
    """
    if isinstance(error, DuplicateKeyError) or _only_duplicates(error):
        # Within a transaction the unit looked before, so somebody else came between.
        return TransientConflict() if in_transaction else Conflict()
    nothing_kept = in_transaction or not writing
    if nothing_kept and error.has_error_label("TransientTransactionError"):
        return TransientConflict()
    if isinstance(error, ServerSelectionTimeoutError):
        # Nobody was found to send it to. (A write that was sent before and is sent again then keeps its first error.)
        return unreachable(error)
    if not nothing_kept:
        nothing_kept = error.has_error_label("NoWritesPerformed")
        if _may_be_kept(error) or ((failed_before or (many and _was_begun(error))) and not nothing_kept):
            return OutcomeUnknown()
    unknown = None if nothing_kept else OutcomeUnknown()
    if isinstance(error, OperationFailure | AutoReconnect):
        return _answered(error, unknown, in_transaction=in_transaction)
    return _unanswered(error, unknown)


def translated_commit(error: PyMongoError) -> SongsError:
    """Return the error that a caller of the port sees for one that a commit raised.

    Whatever the code: the commit may have been sent before, applied and not answered.
    """
    return TransientConflict() if error.has_error_label("TransientTransactionError") else OutcomeUnknown()


def unreachable(error: Exception) -> StorageUnavailable:
    """Return the error for a deployment none of whose servers can be asked, with the reason where it is known."""
    # What follows repeats it for every server.
    text = str(error).partition(", Timeout:")[0]
    reasons = (why.format(*found.groups()) for pattern, why in _WHY_UNREACHABLE if (found := pattern.search(text)))
    why = next((f" ({reason})" for reason in reasons), "")
    return StorageUnavailable(
        f"The storage cannot be reached{why}; nothing was changed. Check that MongoDB runs and its URL is right."
    )


UNTRANSFERABLE: Final = (InvalidDocument, InvalidStringData, OverflowError, UnicodeEncodeError)
"""Raised by the driver for a value that cannot be sent to the server at all."""
UNREADABLE_ANSWER: Final = (InvalidBSON, LookupError, TypeError, AttributeError, ValueError)
"""Raised by the driver for an answer that is not as the protocol has it, as far as it does not check that."""


def untransferable() -> SongsError:
    """Return the error for a value that cannot be sent."""
    return InvalidInput([FieldError("", "holds text or a number that cannot be stored")])


def unreadable(error: Exception, *, writing: bool = False) -> SongsError:
    """Return the error for an answer that cannot be read; `writing`: to a write that is kept before any commit."""
    if writing:
        return OutcomeUnknown()
    return StorageUnavailable(f"The storage's answer cannot be read ({type(error).__name__}); nothing was changed.")


@contextmanager
def reading() -> Iterator[None]:
    """Translate what commands raise that are part of no unit."""
    try:
        yield
    except PyMongoError as error:
        raise translated(error, writing=False) from error
    except UNREADABLE_ANSWER as error:
        raise unreadable(error) from error


def _unanswered(error: PyMongoError, unknown: OutcomeUnknown | None) -> SongsError:
    if isinstance(error, ConnectionFailure | ConfigurationError):
        # No connection of the pool came free in time, or none could be made: nothing was sent.
        return unreachable(error)
    if isinstance(error, InvalidOperation):
        return StorageClosed()
    return unknown or StorageUnavailable(f"The storage failed ({type(error).__name__}).")


def _may_be_kept(error: PyMongoError) -> bool:
    """Return whether a write of its own is, or may be, kept although it raised this, whatever the code."""
    if isinstance(error, WriteConcernError | BulkWriteError):
        return True
    return error.has_error_label("RetryableWriteError") and not error.has_error_label("NoWritesPerformed")


def _was_begun(error: PyMongoError) -> bool:
    """Return whether a command was refused for another reason than who asked for it."""
    return isinstance(error, OperationFailure | AutoReconnect) and _code_of(error) not in _NOT_ALLOWED


def _answered(
    error: OperationFailure | AutoReconnect, unknown: OutcomeUnknown | None, *, in_transaction: bool
) -> SongsError:
    code = _code_of(error)
    if code in _NOT_PRIMARY or code in _IN_THE_WAY:
        return TransientConflict()
    if code == _OUT_OF_TIME:
        return unknown or DeadlineExceeded()
    if isinstance(error, AutoReconnect) or code in _INTERRUPTED:
        waited = "did not answer in time" if isinstance(error, NetworkTimeout) else "broke the connection off"
        return unknown or StorageUnavailable(f"The storage {waited}; nothing was changed.")
    if in_transaction and code in NO_TRANSACTIONS:
        return Unsupported("This MongoDB deployment has no transactions; set SONGS_MONGO_TRANSACTIONS=off.")
    if unknown is not None and not isinstance(code, int):
        return unknown
    return _refused(code)


def _refused(code: int | None) -> SongsError:
    if code in _DAMAGED:
        return StorageDamaged(f"A stored record is damaged ({NO_SUCH_RECORD}). Correct it in the database.")
    other = f"The storage refused a command (code {code}); nothing was changed."
    return StorageUnavailable(_REFUSED.get(code or 0, other))


def _only_duplicates(error: PyMongoError) -> bool:
    if not isinstance(error, BulkWriteError):
        return False
    failures = error.details.get("writeErrors", [])
    return (
        bool(failures)
        and not error.details.get("writeConcernErrors")
        and all(failure.get("code") == _DUPLICATE for failure in failures)
    )


def _code_of(error: OperationFailure | AutoReconnect) -> int | None:
    if isinstance(error, BulkWriteError):
        # Its own code says only that some writes failed.
        failures = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        return failures[0].get("code") if failures else error.code
    if isinstance(error, OperationFailure):
        return error.code
    # A NotPrimaryError keeps the server's answer among its details.
    return error.details.get("code") if isinstance(error.details, dict) else None
