"""Every error that the domain raises or that an adapter may raise, each with a stable code.

An adapter translates each error of its driver into one of these (``raise ... from``); services and HTTP know no other.
The codes are part of the public interface: clients and operators may depend on them, and `docs/errors.md` lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong member of the input: where (a JSON pointer such as ``/rating``) and what is wrong with it."""

    pointer: str
    message: str


class SongsError(Exception):
    """The root of all errors of the domain. `detail` is safe to show to a client: it never holds a secret.

    `about` is for the audit trail only: the id of the user that the error is about, where it is about one.
    """

    code: ClassVar[str] = "internal"
    summary: ClassVar[str] = "Something went wrong."
    about: str | None = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.summary)
        self.detail = detail or self.summary


# What the caller sent cannot be accepted.


class InvalidInput(SongsError):
    """The input is readable but wrong; `errors` names every member that is."""

    code = "invalid"
    summary = "The input is not valid."

    def __init__(self, errors: Sequence[FieldError], detail: str | None = None) -> None:
        self.errors = tuple(errors)
        super().__init__(detail or "; ".join(f"{e.pointer or '/'}: {e.message}" for e in self.errors) or None)


class UseCursor(SongsError):
    """A page lies beyond the depth to which pages are counted; a cursor goes on from there."""

    code = "use_cursor"
    summary = "Pages end at 100000 items; follow next_cursor, or start a walk with an empty cursor parameter."


class BadCursor(SongsError):
    """A cursor was not made by this service, or for another filter."""

    code = "bad_cursor"
    summary = "The cursor is not valid for this request; start again without it."


class KeyReused(SongsError):
    """An idempotency key of this user already belongs to a rating of another song or value."""

    code = "idempotency_key_reused"
    summary = "This Idempotency-Key was used for a different rating; use a new key for a new rating."


# What the caller asked for is not there, or is there already.


class NotFound(SongsError):
    """What was asked for does not exist."""

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
    """An admin would take its own rights away, and there might be no other admin."""

    code = "own_account"
    summary = "Admins cannot demote, disable or delete themselves; another admin can."


class VersionConflict(SongsError):
    """The record was changed since the version that the caller saw."""

    code = "version_conflict"
    summary = "The record was changed in the meantime; read it again and repeat the change."


# Who the caller is, and what they may do.


class Unauthenticated(SongsError):
    """The request proves no identity."""

    code = "unauthenticated"
    summary = "A valid access token is required."


class InvalidToken(Unauthenticated):
    """A token was sent, and it is malformed, forged, expired, revoked, or for someone else."""

    code = "invalid_token"
    summary = "The access token is invalid or has expired."


class BadCredentials(Unauthenticated):
    """The name and password do not belong together, or the user may not sign in. Which of it is never said.

    It is `about` the user of that name, if there is one: someone may be guessing.
    """

    code = "bad_credentials"
    summary = "The username or the password is wrong."

    def __init__(self, *, about: str | None = None) -> None:
        super().__init__()
        self.about = about


class RefreshRefused(Unauthenticated):
    """A refresh token is malformed, forged, used up, expired or revoked, or its user is gone or disabled.

    It is `about` the user whose token was used up long before: someone else may hold it.
    """

    code = "invalid_refresh_token"
    summary = "The refresh token is invalid or has expired; sign in again."

    def __init__(self, *, about: str | None = None) -> None:
        super().__init__()
        self.about = about


class Forbidden(SongsError):
    """The caller is known and lacks the role."""

    code = "forbidden"
    summary = "Your role does not allow this."


class RegistrationClosed(Forbidden):
    """This service takes no registrations."""

    code = "registration_closed"
    summary = "Registration is closed."


class WrongPassword(Forbidden):
    """Someone who is signed in did not give their own password."""

    code = "wrong_password"
    summary = "The current password is wrong."


class RateLimited(SongsError):
    """The caller made too many requests; `retry_after_s` says in how many seconds the next may succeed."""

    code = "rate_limited"
    summary = "Too many requests; wait as long as Retry-After says."

    def __init__(self, retry_after_s: float, detail: str | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


# What lies behind a port fails.


class Unavailable(SongsError):
    """Something that the request needs does not answer now; the same request may succeed later."""

    code = "unavailable"
    summary = "The service is temporarily unavailable; try again soon."
    retry_after_s: ClassVar[float] = 1.0


class StorageUnavailable(Unavailable):
    """The storage is down, hung, full, read-only or damaged. From a write: nothing of it was kept."""

    code = "storage_unavailable"
    summary = "The storage does not respond; nothing was changed. Try again soon."


class StorageClosed(StorageUnavailable):
    """The storage was not opened, or was closed."""

    code = "storage_closed"
    summary = "The storage is not open."


class StorageInUse(StorageUnavailable):
    """The storage belongs to one process at a time, and another holds it."""

    code = "storage_in_use"
    summary = "Another process is using this storage, which serves one process at a time."


class StorageMismatch(StorageUnavailable):
    """The stored data has a schema that this version cannot use, or is not ours."""

    code = "storage_mismatch"
    summary = "The stored data has a version that this program cannot use."


class TransientConflict(Unavailable):
    """Another writer was in the way and nothing was kept; the same unit of work may succeed when run again."""

    code = "transient_conflict"
    summary = "The change conflicted with other writes; nothing was changed. Try again."


class OutcomeUnknown(Unavailable):
    """A write was sent and not answered: it may be kept or not. It is safe to run the same work again."""

    code = "outcome_unknown"
    summary = "The storage did not confirm the change, which may or may not have happened. Read before you repeat it."


class DeadlineExceeded(Unavailable):
    """The request's time is used up; nothing was changed."""

    code = "deadline_exceeded"
    summary = "The request could not be finished in time; nothing was changed. Try again."


class Overloaded(Unavailable):
    """Too much of this kind is going on at once; nothing was started."""

    code = "overloaded"
    summary = "The service is busy; try again soon."


class CacheUnavailable(Unavailable):
    """The cache does not answer. Services go on without it; a client never sees this error."""

    code = "cache_unavailable"
    summary = "The cache does not respond."


class LimiterUnavailable(Unavailable):
    """The rate limiter does not answer. Services fall back to a local one; a client never sees this error."""

    code = "limiter_unavailable"
    summary = "The rate limiter does not respond."


# What the program itself does wrong.


class ScopeViolation(SongsError):
    """A unit of work was used against its scope, or outside its ``with`` block: a defect in the calling code."""

    code = "scope_violation"
    summary = "A unit of work was used against its scope."


class Unsupported(SongsError):
    """An adapter was asked for what its capabilities deny: a defect in the calling code."""

    code = "unsupported"
    summary = "The adapter does not support this, as its capabilities declare."
