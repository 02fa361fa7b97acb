"""Sessions: started by a sign-in, kept alive by refresh tokens, ended by a logout."""

import hmac
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from songs.application.runner import UnitRunner
from songs.errors import RefreshRefused, SongsError
from songs.model import Session, User, whole_milliseconds
from songs.ports.clock import Clock, Deadline
from songs.ports.ids import IdGenerator
from songs.ports.sessions import Rotation
from songs.ports.storage import UnitOfWork
from songs.ports.tokens import AccessClaims, TokenIssuer

GRACE_S: Final = 10.0
"""How long after a rotation the previous token may be presented again without ending the session, since the response
may have been lost.

By the clocks of the processes: where they differ by more, a token that is presented again ends its session at once."""
SECRET_BYTES: Final = 32
SWEEP_EVERY_S: Final = 60.0
SWEPT_AT_ONCE: Final = 100
ENDED_AT_ONCE: Final = 1000
"""The number of a user's sessions that one write ends: other writers wait no longer than that."""

_TOKEN: Final = re.compile(r"([0-9A-Za-z_-]{1,64})\.[0-9A-Za-z_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The lifetimes of tokens and sessions, in seconds.

    Attributes:
        access_s: An access token.
        refresh_s: A session, however often it is refreshed.
        idle_s: A session that is not refreshed.
    """

    access_s: int = 600
    refresh_s: int = 2_592_000
    idle_s: int = 604_800


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token for a user, valid for `expires_in_s` seconds."""

    user: User
    access_token: str = field(repr=False)
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class SignedIn(AccessToken):
    """The tokens of a session."""

    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """The session and the user of a refresh token.

    Attributes:
        session: The session.
        user: Its user.
        speaks_for_user: Whether it may end the user's other sessions. False if it was used up long before, since
            someone else may have found it.
    """

    session: Session
    user: User
    speaks_for_user: bool


class Sessions:
    """Starts, refreshes and ends sessions. Thread-safe.

    A refresh token is the session's id and 256 random bits. The storage keeps its HMAC under the user's password hash,
    so a token from before a change of password matches nothing: no order of writes and no crash between them leaves a
    session alive that a new password should have ended. Each token can be refreshed once. A used token may be sent
    again for `GRACE_S`, and is refused. After that it shows that two parties hold it, and ends the session. The user's
    other sessions and tokens are left alone: finding an old token must not be enough to sign its owner out everywhere.

    Every method raises `songs.errors.Unavailable` when the storage does not answer in time.
    """

    def __init__(
        self, runner: UnitRunner, tokens: TokenIssuer, ids: IdGenerator, clock: Clock, *, lifetimes: Lifetimes
    ) -> None:
        self._runner = runner
        self._tokens = tokens
        self._ids = ids
        self._clock = clock
        self._lifetimes = lifetimes
        self._sweep_at_s = 0.0

    def access_token(self, user: User) -> AccessToken:
        """Return an access token for a user whose identity is established, without a session."""
        issued_at = self._clock.now().replace(microsecond=0)
        expires_in_s = self._lifetimes.access_s
        claims = AccessClaims(
            token_id=self._ids.new_id(),
            user_id=user.id,
            name=user.name,
            role=user.role,
            token_version=user.token_version,
            issued_at=issued_at,
            expires_at=issued_at + timedelta(seconds=expires_in_s),
        )
        return AccessToken(user, self._tokens.issue(claims), expires_in_s)

    def start(self, user: User, *, deadline: Deadline) -> SignedIn:
        """Store a session for a user whose identity is established, and return its first tokens.

        Tokens for a state of the user that is yet to be stored are good from then on.
        """
        now = whole_milliseconds(self._clock.now())
        session_id = self._ids.new_id()
        token = _new_token(session_id)
        session = Session(
            id=session_id,
            user_id=user.id,
            current_hash=_hash(token, user),
            created_at=now,
            rotated_at=now,
            expires_at=now + timedelta(seconds=self._lifetimes.refresh_s),
        )
        self._runner.write(lambda unit: unit.sessions.add(session), deadline=deadline)
        self._sweep(deadline)
        return self._signed_in(user, token)

    def refresh(self, token: str, *, deadline: Deadline) -> SignedIn:
        """Use up a refresh token and return new tokens.

        Raises:
            RefreshRefused: The token is not the current one of a session, or its user is disabled or gone. Where it
                was used up long before, its session is ended now.
        """
        session, user = self._find(token, deadline)
        now = whole_milliseconds(self._clock.now())
        idle_since = now - timedelta(seconds=self._lifetimes.idle_s)
        if session is None or user is None or user.disabled or session.rotated_at <= idle_since:
            raise RefreshRefused
        following = _new_token(session.id)
        rotation = self._runner.write(
            lambda unit: unit.sessions.rotate(
                session.id,
                presented_hash=_hash(token, user),
                next_hash=_hash(following, user),
                at=now,
                grace_s=GRACE_S,
            ),
            deadline=deadline,
        )
        if rotation is not Rotation.ROTATED:
            raise RefreshRefused(about=user.id if rotation is Rotation.REUSED else None)
        # The user from before the rotation: a change since then revokes this access token.
        return self._signed_in(user, following)

    def holder(self, token: str, *, deadline: Deadline) -> Held | None:
        """Return the session and user of a refresh token, the current or the previous one; None if there are none."""
        session, user = self._find(token, deadline)
        now = self._clock.now()
        if session is None or user is None or now >= session.expires_at:
            return None
        presented = _hash(token, user)
        is_current = hmac.compare_digest(presented, session.current_hash)
        if not is_current and not hmac.compare_digest(presented, session.previous_hash or ""):
            return None
        # The clock of the process that rotated may be ahead of this one.
        used_up_s = 0.0 if is_current else abs((now - session.rotated_at).total_seconds())
        return Held(session, user, speaks_for_user=used_up_s <= GRACE_S)

    def end(self, session_id: str, *, deadline: Deadline) -> None:
        """Remove a session, and with it its refresh tokens."""
        self._runner.write(lambda unit: unit.sessions.delete(session_id), deadline=deadline)

    def end_all(self, user_id: str, *, last_id: str | None = None, deadline: Deadline) -> None:
        """Remove all sessions of a user, `ENDED_AT_ONCE` in a write, that of `last_id` last.

        If the time is up before all are removed, those already removed stay removed; calling it again continues.
        """
        ended = ENDED_AT_ONCE
        while ended == ENDED_AT_ONCE:
            ended = self._runner.write(
                lambda unit: unit.sessions.delete_of_user(user_id, limit=ENDED_AT_ONCE, keep_id=last_id),
                deadline=deadline,
            )
        if last_id is not None:
            self.end(last_id, deadline=deadline)

    def _find(self, token: str, deadline: Deadline) -> tuple[Session | None, User | None]:
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None, None
        session_id = match[1]

        def read(unit: UnitOfWork) -> tuple[Session | None, User | None]:
            session = unit.sessions.get(session_id)
            return session, None if session is None else unit.users.get(session.user_id)

        return self._runner.read(read, deadline=deadline)

    def _signed_in(self, user: User, refresh_token: str) -> SignedIn:
        access = self.access_token(user)
        return SignedIn(user, access.access_token, access.expires_in_s, refresh_token)

    def _sweep(self, deadline: Deadline) -> None:
        """Remove some expired sessions: one batch at a time, or none for a while."""
        now_s = self._clock.monotonic_s()
        if now_s < self._sweep_at_s:
            return
        self._sweep_at_s = now_s + SWEEP_EVERY_S
        at = whole_milliseconds(self._clock.now())
        # The session is stored already: what goes wrong here is for the next one to mend.
        with suppress(SongsError):
            swept = self._runner.write(
                lambda unit: unit.sessions.delete_expired(at=at, limit=SWEPT_AT_ONCE), deadline=deadline
            )
            if swept == SWEPT_AT_ONCE:
                self._sweep_at_s = now_s


def _new_token(session_id: str) -> str:
    return f"{session_id}.{secrets.token_urlsafe(SECRET_BYTES)}"


def _hash(token: str, user: User) -> str:
    return hmac.digest(user.password_hash.encode(), token.encode(), "sha256").hex()
