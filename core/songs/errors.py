"""Every error that the domain raises or that an adapter may raise, each with a stable code.

An adapter translates each error of its driver into one of these (``raise ... from``); services and HTTP know no other.
The codes are part of the public interface: clients and operators may depend on them, and `docs/errors.md` lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong member of the input: a JSON pointer such as ``/rating``, and a message."""

    pointer: str
    message: str


class SongsError(Exception):
    """Base class of all domain errors. `detail` describes this occurrence, and never holds a secret.

    `about` is for the audit trail only: the id of the user concerned, if any.
    """

    code: ClassVar[str] = "internal"
    summary: ClassVar[str] = "Something went wrong."
    about: str | None = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.summary)
        self.detail = detail or self.summary

    @property
    def public_detail(self) -> str:
        """The description of this occurrence that a client is shown."""
        return self.detail


# Invalid input.


class InvalidInput(SongsError):
    """The input is readable but invalid; `errors` lists every invalid member."""

    code = "invalid"
    summary = "The input is not valid."

    def __init__(self, errors: Sequence[FieldError], detail: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__(detail or "; ".join(f"{e.pointer or '/'}: {e.message}" for e in self.errors) or None)


class UseCursor(SongsError):
    """The page number is too large; a cursor can go further."""

    code = "use_cursor"
    summary = "Pages end at 100000 items; follow next_cursor, or start a walk with an empty cursor parameter."


class BadCursor(SongsError):
    """The cursor was not made by this service, or was made for another filter."""

    code = "bad_cursor"
    summary = "The cursor is not valid for this request; start again without it."


class KeyReused(SongsError):
    """The user's idempotency key already belongs to a rating of another song or value."""

    code = "idempotency_key_reused"
    summary = "This Idempotency-Key was used for a different rating; use a new key for a new rating."


# Missing resources and conflicts.


class NotFound(SongsError):
    """The requested resource does not exist."""

    code = "not_found"
    summary = "There is no such resource."


class SongNotFound(NotFound):
    """No song has this id."""

    code = "song_not_found"
    summary = "There is no song with this id."


class UserNotFound(NotFound):
    """No user has this name or id."""

    code = "user_not_found"
    summary = "There is no user with this name."


class Conflict(SongsError):
    """The change contradicts what is stored."""

    code = "conflict"
    summary = "The change contradicts what is stored."


class DuplicateSong(Conflict):
    """Another song has the same artist, title and release date."""

    code = "song_exists"
    summary = "A song with this artist, title and release date exists already."


class UserExists(Conflict):
    """Another user has this name, compared without regard to case."""

    code = "username_taken"
    summary = "This username is taken."


class OwnAccount(Conflict):
    """Admins would take their own rights away, and there might be no other admin."""

    code = "own_account"
    summary = "Admins cannot demote, disable or delete themselves; another admin can."


class VersionConflict(SongsError):
    """The record was changed since the version that the caller saw."""

    code = "version_conflict"
    summary = "The record was changed in the meantime; read it again and repeat the change."


# Authentication, authorization and rate limits.


class Unauthenticated(SongsError):
    """The request proves no identity."""

    code = "unauthenticated"
    summary = "A valid access token is required."


class InvalidToken(Unauthenticated):
    """The access token is malformed, forged, expired, revoked, or for another audience."""

    code = "invalid_token"
    summary = "The access token is invalid or has expired."


class BadCredentials(Unauthenticated):
    """The username or password is wrong, or the user may not sign in. The error does not say which.

    `about` is the user of that name, if there is one: someone may be guessing.
    """

    code = "bad_credentials"
    summary = "The username or the password is wrong."

    def __init__(self, *, about: str | None = None) -> None:
        super().__init__()
        self.about = about


class RefreshRefused(Unauthenticated):
    """The refresh token is malformed, forged, used up, expired or revoked, or its user is gone or disabled.

    `about` is the user if the token was used up long before: someone else may hold it.
    """

    code = "invalid_refresh_token"
    summary = "The refresh token is invalid or has expired; sign in again."

    def __init__(self, *, about: str | None = None) -> None:
        super().__init__()
        self.about = about


class Forbidden(SongsError):
    """The caller lacks the required role."""

    code = "forbidden"
    summary = "Your role does not allow this."


class RegistrationClosed(Forbidden):
    """This service takes no registrations."""

    code = "registration_closed"
    summary = "Registration is closed."


class WrongPassword(Forbidden):
    """A signed-in user gave a wrong password."""

    code = "wrong_password"
    summary = "The current password is wrong."


class RateLimited(SongsError):
    """The caller made too many requests; `retry_after_s` is the number of seconds until the next may succeed."""

    code = "rate_limited"
    summary = "Too many requests; wait as long as Retry-After says."

    def __init__(self, retry_after_s: float, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


# Failures behind a port.


class Unavailable(SongsError):
    """A dependency of the request does not respond; the same request may succeed later.

    Args:
        detail: For operators, in the log and on the command line: it may name records, files and settings, and advise.
        public: For clients; they are shown the summary where it is missing.
    """

    code = "unavailable"
    summary = "The service is temporarily unavailable; try again soon."
    retry_after_s: ClassVar[float] = 1.0
    _public: str | None = None

    def __init__(self, detail: str | None = None, *, public: str | None = None) -> None:
        super().__init__(detail or public)
        self._public = public

    @property
    def public_detail(self) -> str:
        """The description of this occurrence that a client is shown."""
        return self._public or self.summary


class StorageUnavailable(Unavailable):
    """The storage is down, hung, full, read-only or damaged. A write that raises this stored nothing."""

    code = "storage_unavailable"
    summary = "The storage does not respond; nothing was changed. Try again soon."


class StorageClosed(StorageUnavailable):
    """The storage was not opened, or was closed."""

    code = "storage_closed"
    summary = "The storage is not open."


class StorageInUse(StorageUnavailable):
    """The storage serves one process at a time, and another process holds it."""

    code = "storage_in_use"
    summary = "Another process is using this storage, which serves one process at a time."


class StorageMismatch(StorageUnavailable):
    """The stored data has a schema that this version cannot use, or belongs to another program."""

    code = "storage_mismatch"
    summary = "The stored data has a version that this program cannot use."


class StorageDamaged(StorageUnavailable):
    """A stored record holds what no such record can hold; `detail` names it. Reading it again helps nobody."""

    code = "storage_damaged"
    summary = "A stored record is damaged and cannot be read; nothing was changed. The operator has to repair it."
    retry_after_s: ClassVar[float] = 60.0


class TransientConflict(Unavailable):
    """The unit of work conflicted with another and stored nothing; it may succeed when run again."""

    code = "transient_conflict"
    summary = "The change conflicted with other writes; nothing was changed. Try again."


class OutcomeUnknown(Unavailable):
    """A write was sent and not acknowledged: it may or may not be stored. It is safe to run it again."""

    code = "outcome_unknown"
    summary = "The storage did not confirm the change, which may or may not have happened. Read before you repeat it."


class DeadlineExceeded(Unavailable):
    """The request's deadline has passed; nothing was changed."""

    code = "deadline_exceeded"
    summary = "The request could not be finished in time; nothing was changed. Try again."


class Overloaded(Unavailable):
    """Too many requests of this kind are in progress; this one was not started."""

    code = "overloaded"
    summary = "The service is busy; try again soon."


class CacheUnavailable(Unavailable):
    """The cache does not respond. Services go on without it; a client never sees this error."""

    code = "cache_unavailable"
    summary = "The cache does not respond."


class LimiterUnavailable(Unavailable):
    """The rate limiter does not respond. Services fall back to a local one; a client never sees this error."""

    code = "limiter_unavailable"
    summary = "The rate limiter does not respond."


# Defects of the calling code.


class ScopeViolation(SongsError):
    """A unit of work was used against its scope, or outside its ``with`` block: a defect in the calling code."""

    code = "scope_violation"
    summary = "A unit of work was used against its scope."


class Unsupported(SongsError):
    """An adapter was asked for an ability that it does not declare: a defect in the calling code."""

    code = "unsupported"
    summary = "The adapter does not support this, as its capabilities declare."
