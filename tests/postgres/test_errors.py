"""What errors of the driver and of the server mean in the terms of the port, and what a URL may be."""

import psycopg
import pytest
from psycopg import errors as states
from pydantic import SecretStr

from songs.errors import (
    DeadlineExceeded,
    InvalidInput,
    OutcomeUnknown,
    SongsError,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)
from songs_postgres import PostgresSettings
from songs_postgres.errors import NoAnswerError, translated, translated_commit, unreachable


def _of_severity(error: type[psycopg.Error], severity: str) -> psycopg.Error:
    return error(info={psycopg.pq.DiagnosticField.SEVERITY_NONLOCALIZED: severity.encode()})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (states.SerializationFailure(), TransientConflict),
        (states.DeadlockDetected(), TransientConflict),
        (states.UniqueViolation(), TransientConflict),
        (states.ForeignKeyViolation(), TransientConflict),
        (states.QueryCanceled(), DeadlineExceeded),
        (states.UndefinedTable(), StorageMismatch),
        (states.UntranslatableCharacter(), InvalidInput),
        (states.DiskFull(), StorageUnavailable),
        (states.AdminShutdown(), StorageUnavailable),
        (states.ReadOnlySqlTransaction(), StorageUnavailable),
        (states.InternalError_(), StorageUnavailable),
        (psycopg.OperationalError(), StorageUnavailable),
        (NoAnswerError(), StorageUnavailable),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "planted"), InvalidInput),
    ],
)
def test_errors_of_a_statement(error: psycopg.Error, expected: type[SongsError]) -> None:
    """Each says that nothing was kept, in the terms of the port."""
    assert type(translated(error)) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (states.SerializationFailure(), TransientConflict),
        (states.DiskFull(), StorageUnavailable),
        (_of_severity(states.DiskFull, "ERROR"), StorageUnavailable),
        (_of_severity(states.DiskFull, "PANIC"), OutcomeUnknown),
        (_of_severity(states.IoError, "PANIC"), OutcomeUnknown),
        (_of_severity(states.OutOfMemory, "FATAL"), OutcomeUnknown),
        (states.QueryCanceled(), OutcomeUnknown),
        (states.AdminShutdown(), OutcomeUnknown),
        (states.CrashShutdown(), OutcomeUnknown),
        (psycopg.OperationalError(), OutcomeUnknown),
        (NoAnswerError(), OutcomeUnknown),
    ],
)
def test_errors_of_a_commit(error: psycopg.Error, expected: type[SongsError]) -> None:
    """Where the server does not say that it rolled back, the outcome is unknown."""
    assert type(translated_commit(error)) is expected


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ('FATAL:  password authentication failed for user "s3cret"', "refused the user name or the password"),
        ('FATAL:  database "s3cret" does not exist', "createdb"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ("FATAL:  the database system is starting up", "starting up"),
        ('could not translate host name "s3cret"', "cannot be reached"),
    ],
)
def test_refusals_of_a_connection(text: str, advice: str) -> None:
    """The message says what to do, and nothing of what the URL says."""
    error = unreachable(psycopg.OperationalError(text))
    assert isinstance(error, StorageUnavailable)
    assert advice in error.detail
    assert "s3cret" not in error.detail


@pytest.mark.parametrize("url", ["", "redis://localhost/", "postgresql://me:s3c@ret@h/d?nonsense=1", "host='s3c"])
def test_a_url_that_is_none(url: str) -> None:
    """It is refused, with what it should look like and without any part of it."""
    with pytest.raises(ValueError, match="postgresql://") as caught:
        PostgresSettings(url=SecretStr(url))
    assert "s3c" not in str(caught.value)
