"""Accounts: registering, signing in, and what admins do with users."""

import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from songs.deadline import Deadline
from songs.errors import (
    BadCredentials,
    FieldError,
    InvalidInput,
    Overloaded,
    Unavailable,
    UserExists,
    UserNotFound,
    VersionConflict,
)
from songs.limits import MOST_COMPOSED
from songs.model import Role, User, check_username, whole_milliseconds
from songs.ports.clock import Clock
from songs.ports.ids import IdGenerator
from songs.ports.passwords import PasswordHasher
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs.services.access import Access
from songs.services.run import UnitRunner

MAX_PASSWORD: Final = 128
DEFAULT_MIN_PASSWORD: Final = 8


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """How long a new password must be, in characters after NFKC. Sign-in never checks the form."""

    min_length: int = DEFAULT_MIN_PASSWORD

    def check(self, password: str) -> None:
        """Raise `InvalidInput` unless `password` may be chosen. The message never holds the password."""
        if (
            len(password) > MOST_COMPOSED * MAX_PASSWORD
            or not self.min_length <= len(unicodedata.normalize("NFKC", password)) <= MAX_PASSWORD
            or not _encodable(password)
        ):
            message = f"must have {self.min_length} to {MAX_PASSWORD} characters"
            raise InvalidInput([FieldError("/password", message)])


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An access token for a user, good for `expires_in_s` seconds."""

    user: User
    access_token: str
    expires_in_s: int


class Accounts:
    """The users. Every method raises `songs.errors.Unavailable` when the storage does not answer in time.

    Args:
        runner: Runs units of work.
        access: Told of each change that concerns tokens.
        passwords: Hashes and checks.
        tokens: Issues access tokens.
        ids: Makes the ids of users and tokens.
        clock: The time of day.
        policy: What new passwords must be like.
        access_ttl_s: How long access tokens are good for, in seconds.
        max_hashing: How many requests may hash a password or wait for their turn to: the others are refused at once,
            so that sign-ins never take all request threads.
    """

    def __init__(  # noqa: PLR0913 - a service takes what it needs, by name
        self,
        runner: UnitRunner,
        access: Access,
        passwords: PasswordHasher,
        tokens: TokenIssuer,
        ids: IdGenerator,
        clock: Clock,
        *,
        policy: PasswordPolicy,
        access_ttl_s: int,
        max_hashing: int,
    ) -> None:
        self._runner = runner
        self._access = access
        self._passwords = passwords
        self._tokens = tokens
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._access_ttl_s = access_ttl_s
        self._hashing = threading.BoundedSemaphore(max_hashing)

    def register(self, name: str, password: str, *, role: Role = Role.USER, deadline: Deadline) -> User:
        """Store a new user and return it.

        Raises:
            InvalidInput: The name or the password is not acceptable.
            UserExists: The name is taken, compared without regard to case.
            Overloaded: Too many passwords are being hashed.
        """
        check_username(name)
        self._policy.check(password)
        # Asked first because hashing is dear; `add` decides.
        if self._runner.read(lambda unit: unit.users.by_name(name), deadline=deadline) is not None:
            raise UserExists
        with self._turn_to_hash():
            hashed = self._passwords.hash(password, wait_s=deadline.remaining_s())
        user = User(
            id=self._ids.new_id(),
            name=name,
            password_hash=hashed,
            role=role,
            created_at=whole_milliseconds(self._clock.now()),
        )
        self._runner.write(lambda unit: unit.users.add(user), deadline=deadline)
        return user

    def sign_in(self, name: str, password: str, *, deadline: Deadline) -> SignedIn:
        """Check a name and a password and return an access token.

        Raises:
            BadCredentials: They do not belong together, or the user is disabled. An unknown name takes the same work.
            Overloaded: Too many passwords are being hashed.
        """
        user = self._runner.read(lambda unit: unit.users.by_name(name), deadline=deadline)
        hashed = user.password_hash if user is not None else None
        with self._turn_to_hash():
            check = self._passwords.verify(password, hashed, wait_s=deadline.remaining_s())
            if user is None or not check.ok or user.disabled:
                raise BadCredentials
            if check.outdated:
                user = self._rehash(user, password, deadline)
        return self.token_for(user)

    def token_for(self, user: User) -> SignedIn:
        """Return an access token for a user whose identity is established."""
        issued_at = self._clock.now().replace(microsecond=0)
        claims = AccessClaims(
            token_id=self._ids.new_id(),
            user_id=user.id,
            name=user.name,
            role=user.role,
            token_version=user.token_version,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(seconds=self._access_ttl_s),
        )
        return SignedIn(user, self._tokens.issue(claims), self._access_ttl_s)

    def get(self, name: str, *, deadline: Deadline) -> User:
        """Return the user with this name, without regard to case.

        Raises:
            UserNotFound: There is none.
        """
        user = self._runner.read(lambda unit: unit.users.by_name(name), deadline=deadline)
        if user is None:
            raise UserNotFound
        return user

    def find(self, *, limit: int, after_id: str | None = None, deadline: Deadline) -> tuple[User, ...]:
        """Return users ordered by id, at most `limit`, those after `after_id` if given."""
        return self._runner.read(lambda unit: unit.users.find(limit=limit, after_id=after_id), deadline=deadline)

    def set_role(self, name: str, role: Role, *, deadline: Deadline) -> User:
        """Give a user another role; its older access tokens are worthless from then on.

        Raises:
            UserNotFound: There is no such user.
        """
        return self._change(name, lambda user: replace(user, role=role), deadline)

    def set_disabled(self, name: str, *, disabled: bool, deadline: Deadline) -> User:
        """Disable a user, or enable it again; its older access tokens are worthless from then on.

        Raises:
            UserNotFound: There is no such user.
        """
        return self._change(name, lambda user: replace(user, disabled=disabled), deadline)

    def _change(self, name: str, edit: Callable[[User], User], deadline: Deadline) -> User:
        while True:
            before = self.get(name, deadline=deadline)
            after = edit(before)
            if after == before:
                # Perhaps the repetition of a change whose outcome was unknown.
                self._access.forget(before.id)
                return before
            after = replace(after, version=before.version + 1, token_version=before.token_version + 1)
            try:
                self._store(after, deadline)
            except VersionConflict:
                deadline.check()
            else:
                return after
            finally:
                self._access.forget(before.id)

    def _rehash(self, user: User, password: str, deadline: Deadline) -> User:
        hashed = self._passwords.hash(password, wait_s=deadline.remaining_s())
        after = replace(user, password_hash=hashed, version=user.version + 1)
        try:
            self._store(after, deadline)
        except (VersionConflict, UserNotFound, Unavailable):
            return user  # the password was right all the same; the next sign-in hashes again
        return after

    @contextmanager
    def _turn_to_hash(self) -> Iterator[None]:
        if not self._hashing.acquire(blocking=False):
            raise Overloaded("Too many passwords are being checked; try again soon.")
        try:
            yield
        finally:
            self._hashing.release()

    def _store(self, user: User, deadline: Deadline) -> None:
        self._runner.write(lambda unit: unit.users.replace(user, if_version=user.version - 1), deadline=deadline)


def _encodable(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)
