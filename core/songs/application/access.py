"""Authentication: turns an access token into a principal, and honours revocation."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from songs.application.runner import UnitRunner
from songs.errors import InvalidToken
from songs.model import Role
from songs.ports.clock import Clock, Deadline
from songs.ports.tokens import TokenIssuer

STATE_TTL_S: Final = 5.0
MAX_STATES: Final = 10_000


class Principal(NamedTuple):
    """The user on whose behalf a request is made."""

    user_id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class _State:
    """The part of a user that decides about their tokens, as read from the storage at `read_at_s`."""

    token_version: int
    """0, which no token has, for a user that is gone."""
    disabled: bool
    role: Role
    read_at_s: float


class Access:
    """Turns access tokens into principals. Thread-safe.

    A token is valid while its claims hold and its token version is the user's. That version is read from the storage
    and cached for `STATE_TTL_S` seconds: after a logout, a new password, a new role or a disabling, older tokens are
    refused everywhere within that time, and at once in the process that made the change. A token that is newer than
    the cached version shows that the cache is out of date: the version is read again.
    """

    def __init__(self, runner: UnitRunner, tokens: TokenIssuer, clock: Clock) -> None:
        self._runner = runner
        self._tokens = tokens
        self._clock = clock
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._forgotten = 0
        self._lock = threading.Lock()

    def authenticate(self, token: str, *, deadline: Deadline) -> Principal:
        """Return whom `token` stands for.

        Raises:
            InvalidToken: The token is not valid, or was revoked, or its user is gone or disabled.
            Unavailable: The storage does not answer, and what is known of the user is too old.
        """
        claims = self._tokens.verify(token)
        state = self._states.get(claims.user_id)
        now_s = self._clock.monotonic_s()
        if state is None or now_s - state.read_at_s > STATE_TTL_S or 0 < state.token_version < claims.token_version:
            state = self._read(claims.user_id, deadline)
        if state.disabled or state.token_version != claims.token_version:
            raise InvalidToken
        return Principal(claims.user_id, claims.name, state.role)

    def forget(self, user_id: str) -> None:
        """Forget the user's state, so that the next request reads it; called after every change to it."""
        with self._lock:
            self._forgotten += 1
            self._states.pop(user_id, None)

    def _read(self, user_id: str, deadline: Deadline) -> _State:
        # Aged from before the read: a change committed during it may not be in it.
        read_at_s, forgotten = self._clock.monotonic_s(), self._forgotten
        user = self._runner.read(lambda unit: unit.users.get(user_id), deadline=deadline)
        state = _State(
            token_version=0 if user is None else user.token_version,
            disabled=user is None or user.disabled,
            role=Role.USER if user is None else user.role,
            read_at_s=read_at_s,
        )
        with self._lock:
            # A state that was read before it was forgotten may be out of date.
            if forgotten == self._forgotten:
                self._states[user_id] = state
                self._states.move_to_end(user_id)
                while len(self._states) > MAX_STATES:
                    self._states.popitem(last=False)
        return state
