"""Who is asking: from an access token to a principal, with revocation."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from songs.deadline import Deadline
from songs.errors import InvalidToken
from songs.model import Role, User
from songs.ports.clock import Clock
from songs.ports.tokens import TokenIssuer
from songs.services.run import UnitRunner

STATE_TTL_S: Final = 5.0
MAX_STATES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """The user on whose behalf a request is made."""

    user_id: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class _State:
    """What of a user decides about its tokens, as read from the storage at `read_at_s`."""

    token_version: int | None
    role: Role
    read_at_s: float


class Access:
    """Turns access tokens into principals. Thread-safe.

    A token is good while its claims hold and its token version is the user's. That version is read from the storage
    and believed for `STATE_TTL_S` seconds: after a logout, a new password, another role or a disabling, older tokens
    are refused everywhere within that time, and at once in the process that made the change.
    """

    def __init__(self, runner: UnitRunner, tokens: TokenIssuer, clock: Clock) -> None:
        self._runner = runner
        self._tokens = tokens
        self._clock = clock
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._lock = threading.Lock()

    def authenticate(self, token: str, *, deadline: Deadline) -> Principal:
        """Return whom `token` stands for.

        Raises:
            InvalidToken: The token is not valid, or was revoked, or its user is gone or disabled.
            Unavailable: The storage does not answer, and what is known of the user is too old.
        """
        claims = self._tokens.verify(token)
        state = self._state(claims.user_id, deadline)
        if state.token_version != claims.token_version:
            raise InvalidToken
        return Principal(claims.user_id, claims.name, state.role)

    def forget(self, user_id: str) -> None:
        """Read the user's state anew at its next request; called after every change to it."""
        with self._lock:
            self._states.pop(user_id, None)

    def _state(self, user_id: str, deadline: Deadline) -> _State:
        now_s = self._clock.monotonic_s()
        state = self._states.get(user_id)
        if state is not None and now_s - state.read_at_s <= STATE_TTL_S:
            return state
        user = self._runner.read(lambda unit: unit.users.get(user_id), deadline=deadline)
        # Aged from before the read: a change committed during it may not be in it.
        state = _state_of(user, now_s)
        with self._lock:
            self._states[user_id] = state
            self._states.move_to_end(user_id)
            while len(self._states) > MAX_STATES:
                self._states.popitem(last=False)
        return state


def _state_of(user: User | None, read_at_s: float) -> _State:
    if user is None or user.disabled:
        return _State(None, Role.USER, read_at_s)
    return _State(user.token_version, user.role, read_at_s)
