"""Accounts: registration, signing in and out, one's own account, and the management of users by admins."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from songs.application.access import Access
from songs.application.hashing import FIRST, HashingTurns
from songs.application.password_policy import PasswordPolicy
from songs.application.runner import UnitRunner
from songs.application.sessions import AccessToken, Sessions, SignedIn
from songs.errors import (
    BadCredentials,
    FieldError,
    InvalidInput,
    InvalidToken,
    OutcomeUnknown,
    OwnAccount,
    SongsError,
    Unavailable,
    UserExists,
    UserNotFound,
    VersionConflict,
    WrongPassword,
)
from songs.limits import username_problem
from songs.model import Role, User, whole_milliseconds
from songs.ports.clock import Clock, Deadline
from songs.ports.ids import IdGenerator
from songs.ports.passwords import PasswordCheck, PasswordHasher
from songs.ports.storage import UnitOfWork

STRANGER: Final = 2
"""The rank of a registration at hashing: after those who sign in for the first time of late."""


class Accounts:
    """Manages users. Every method raises `songs.errors.Unavailable` when the storage does not answer in time.

    Every change that takes a right away raises the user's token version: older access tokens are refused at once by
    this process and within `songs.application.access.STATE_TTL_S` by every other one.

    Args:
        runner: Runs units of work.
        access: Notified of each change that concerns tokens.
        sessions: Starts and ends sessions.
        passwords: Hashes and checks.
        ids: Makes the ids of users.
        clock: The time of day.
        policy: The rules for new passwords.
        hashing: Limits hashing, so that sign-ins never take all request threads.
    """

    def __init__(
        self,
        runner: UnitRunner,
        access: Access,
        sessions: Sessions,
        passwords: PasswordHasher,
        ids: IdGenerator,
        clock: Clock,
        *,
        policy: PasswordPolicy,
        hashing: HashingTurns,
    ) -> None:
        self._runner = runner
        self._access = access
        self._sessions = sessions
        self._passwords = passwords
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._hashing = hashing

    def register(self, name: str, password: str, *, role: Role = Role.USER, deadline: Deadline) -> User:
        """Store a new user and return it.

        Raises:
            InvalidInput: The name or the password is not acceptable, or neither: all that is wrong is named.
            UserExists: The name is taken, compared without regard to case.
            Overloaded: Too many passwords are being hashed.
        """
        if faults := self.registration_faults(name, password):
            raise InvalidInput(faults)
        # Asked first because hashing is dear; `add` decides.
        if self._runner.read(lambda unit: unit.users.by_name(name), deadline=deadline) is not None:
            raise UserExists
        hashed, deadline = self._hashed(password, deadline, rank=STRANGER)
        user = User(
            id=self._ids.new_id(),
            name=name,
            password_hash=hashed,
            role=role,
            created_at=whole_milliseconds(self._clock.now()),
        )
        self._runner.write(lambda unit: unit.users.add(user), deadline=deadline)
        return user

    def registration_faults(self, name: object, password: object) -> list[FieldError]:
        """Return what is wrong with a name and a new password; one that is not text is not judged."""
        faults, known = [], ""
        if isinstance(name, str):
            if problem := username_problem(name):
                faults.append(FieldError("/username", problem))
            else:
                known = name
        if isinstance(password, str) and (problem := self._policy.problem(password, name=known)):
            faults.append(FieldError("/password", problem))
        return faults

    def sign_in(self, name: str, password: str, *, rank: int = FIRST, deadline: Deadline) -> SignedIn:
        """Check a name and a password and start a session.

        Args:
            name: The name.
            password: The password.
            rank: The number of recent attempts from the same place: fewer attempts have their turn first.
            deadline: Until when.

        Raises:
            BadCredentials: The name or password is wrong, or the user is disabled. An unknown name takes as long.
            Overloaded: Too many passwords are being hashed.
        """
        user = self._runner.read(lambda unit: unit.users.by_name(name), deadline=deadline)
        hashed = user.password_hash if user is not None else None
        with self._hashing.turn(rank, deadline):
            check, deadline = self._checked(password, hashed, deadline)
            if user is None or not check.ok or user.disabled:
                raise BadCredentials(about=None if user is None else user.id)
            if check.outdated:
                user, deadline = self._rehashed(user, password, deadline)
        return self._sessions.start(user, deadline=deadline)

    def token_for(self, user: User) -> AccessToken:
        """Return an access token for a user whose identity is established."""
        return self._sessions.access_token(user)

    def sign_out(self, refresh_token: str, *, everywhere: bool = False, deadline: Deadline) -> User | None:
        """End the session of a refresh token, or all sessions of its user, and return the user's id.

        Invalid and expired tokens end nothing. A token that was used up long before ends its session only.

        All older access tokens of the user are revoked; the user's other sessions get new ones by refreshing. The
        session ends first, so that tokens from a refresh in between are revoked as well.

        Raises:
            OutcomeUnknown: The session is ended, and its access tokens may stay valid until they expire.
        """
        held = self._sessions.holder(refresh_token, deadline=deadline)
        if held is None:
            return None
        user = held.user
        if everywhere and held.speaks_for_user:
            # So a client that repeats this after a timeout still has a session.
            self._sessions.end_all(user.id, last_id=held.session.id, deadline=deadline)
        else:
            self._sessions.end(held.session.id, deadline=deadline)
        try:
            self._change(
                lambda: self.own(user.id, deadline=deadline),
                lambda before: replace(before, token_version=before.token_version + 1),
                deadline,
            )
        except (InvalidToken, UserNotFound):
            return user
        except Unavailable as error:
            raise OutcomeUnknown from error
        return user

    def change_password(self, user_id: str, current: str, new: str, *, deadline: Deadline) -> SignedIn:
        """Give a user who knows its password another one, end all its sessions and start a new one.

        Raises:
            WrongPassword: `current` is not the user's password.
            InvalidInput: `new` is not acceptable.
            InvalidToken: The user is gone.
            Overloaded: Too many passwords are being hashed.
        """
        while True:
            before, deadline = self._known(user_id, current, deadline)
            self._policy.check(new, name=before.name, pointer="/new_password")
            hashed, deadline = self._hashed(new, deadline)
            after = _next(before, replace(before, password_hash=hashed))
            # Stored first, the new session is good for nothing until the password is changed, which ends all others.
            signed_in = self._sessions.start(after, deadline=deadline)
            try:
                self._store(after, deadline)
            except VersionConflict:
                deadline.check()
            except UserNotFound as error:
                raise InvalidToken from error
            else:
                return signed_in

    def set_password(self, name: str, password: str, *, deadline: Deadline) -> User:
        """Set a user's password and end all their sessions.

        Raises:
            UserNotFound: There is no such user.
            InvalidInput: The password is not acceptable.
        """
        user = self.get(name, deadline=deadline)
        self._policy.check(password, name=user.name)
        hashed, deadline = self._hashed(password, deadline)
        return self._change(
            lambda: self.get(name, deadline=deadline), lambda before: replace(before, password_hash=hashed), deadline
        )

    def remove_own(self, user_id: str, password: str, *, deadline: Deadline) -> None:
        """Remove a user who knows its password, with its sessions. Its ratings stay, and are nobody's.

        Raises:
            WrongPassword: It is not the user's password.
            OwnAccount: The user is an admin.
            InvalidToken: The user is gone.
            Overloaded: Too many passwords are being hashed.
        """
        user, deadline = self._known(user_id, password, deadline)
        if user.role is Role.ADMIN:
            raise OwnAccount
        try:
            self._runner.write(lambda unit: unit.users.delete(user_id), deadline=deadline)
        finally:
            self._access.forget(user_id)
        # Sessions without a user are useless: the rest of them expires.
        with suppress(SongsError):
            self._sessions.end_all(user_id, deadline=deadline)

    def own(self, user_id: str, *, deadline: Deadline) -> User:
        """Return the user who asks.

        Raises:
            InvalidToken: The user is gone, which its tokens have not heard of yet.
        """
        user = self._runner.read(lambda unit: unit.users.get(user_id), deadline=deadline)
        if user is None:
            raise InvalidToken
        return user

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

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        disabled: bool | None = None,
        by: str | None = None,
        deadline: Deadline,
    ) -> User:
        """Change a user's role or block them, in one write, and revoke their older access tokens.

        A user that is enabled again starts without sessions: earlier ones stay ended.

        Args:
            name: The user's name.
            role: The new role.
            disabled: Whether to block the user from signing in.
            by: The id of the requesting admin, over HTTP. Admins cannot demote or disable themselves there, and must
                still be admins: so an admin is left in any case (see `_touch`).
            deadline: Until when.

        Raises:
            UserNotFound: There is no such user.
            OwnAccount: The user is the requesting admin.
            InvalidToken: The requesting user is no longer an admin, which their token does not show yet.
        """

        def edit(user: User) -> User:
            after = replace(
                user,
                role=user.role if role is None else role,
                disabled=user.disabled if disabled is None else disabled,
            )
            if after != user and user.id == by:
                raise OwnAccount
            if user.disabled and not after.disabled:
                self._sessions.end_all(user.id, deadline=deadline)
            return after

        return self._change(lambda: self.get(name, deadline=deadline), edit, deadline, by=by)

    def _change(
        self, find: Callable[[], User], edit: Callable[[User], User], deadline: Deadline, *, by: str | None = None
    ) -> User:
        while True:
            before = find()
            after = edit(before)
            if after == before:
                # Perhaps the repetition of a change whose outcome was unknown.
                self._access.forget(before.id)
                return before
            after = _next(before, after)
            try:
                if by is not None:
                    self._touch(by, deadline)
                self._store(after, deadline)
            except VersionConflict:
                deadline.check()
            else:
                return after

    def _touch(self, admin_id: str, deadline: Deadline) -> None:
        """Raise the version of the requesting admin, after the user to change was read.

        Of two admins who demote each other, one fails to write: an admin that was touched after the other had read it
        has another version by then. This needs no transaction, and a crash in between does no harm.

        Raises:
            InvalidToken: No admin has this id any more.
            VersionConflict: The admin was changed in the meantime.
        """

        def write(unit: UnitOfWork) -> None:
            admin = unit.users.get(admin_id)
            if admin is None or admin.disabled or admin.role is not Role.ADMIN:
                raise InvalidToken
            unit.users.replace(replace(admin, version=admin.version + 1), if_version=admin.version)

        try:
            self._runner.write(write, deadline=deadline)
        except UserNotFound as error:
            raise InvalidToken from error

    def _known(self, user_id: str, password: str, deadline: Deadline) -> tuple[User, Deadline]:
        """Return the user whose password it is, and what `_checked` makes of the deadline."""
        user = self.own(user_id, deadline=deadline)
        with self._hashing.turn(FIRST, deadline):
            check, deadline = self._checked(password, user.password_hash, deadline)
        if not check.ok:
            raise WrongPassword
        return user, deadline

    def _rehashed(self, user: User, password: str, deadline: Deadline) -> tuple[User, Deadline]:
        """Return the user with a new hash, if it could be stored, and the deadline, no nearer by that."""
        began_s = self._clock.monotonic_s()
        hashed = self._passwords.hash(password, wait_s=deadline.remaining_s())
        deadline = self._later(deadline, began_s)
        after = replace(user, password_hash=hashed, version=user.version + 1)
        began_s = self._clock.monotonic_s()
        try:
            self._store(after, deadline)
        except (VersionConflict, UserNotFound, Unavailable):
            after = user  # the password was right all the same; the next sign-in hashes again
        return after, self._later(deadline, began_s)

    def _checked(self, password: str, hashed: str | None, deadline: Deadline) -> tuple[PasswordCheck, Deadline]:
        """Check a password, in a turn at hashing, and return the deadline, no nearer by that."""
        began_s = self._clock.monotonic_s()
        check = self._passwords.verify(password, hashed, wait_s=deadline.remaining_s())
        return check, self._later(deadline, began_s)

    def _hashed(self, password: str, deadline: Deadline, *, rank: int = FIRST) -> tuple[str, Deadline]:
        """Wait for a turn and hash a password, and return the deadline, no nearer by the hashing."""
        with self._hashing.turn(rank, deadline):
            began_s = self._clock.monotonic_s()
            hashed = self._passwords.hash(password, wait_s=deadline.remaining_s())
            return hashed, self._later(deadline, began_s)

    def _later(self, deadline: Deadline, began_s: float) -> Deadline:
        """Return the deadline after work that began then.

        Waits have a deadline; hashing is work, and on a busy machine it alone may take that long.
        """
        return deadline.later(self._clock.monotonic_s() - began_s)

    def _store(self, user: User, deadline: Deadline) -> None:
        """Store the next state of a user, whether or not it revokes their tokens.

        Raises:
            VersionConflict: The user was changed in the meantime.
            UserNotFound: The user is gone.
        """
        try:
            self._runner.write(lambda unit: unit.users.replace(user, if_version=user.version - 1), deadline=deadline)
        finally:
            self._access.forget(user.id)


def _next(before: User, after: User) -> User:
    """Return `after` as the successor of `before`, with older access tokens revoked."""
    return replace(after, version=before.version + 1, token_version=before.token_version + 1)
