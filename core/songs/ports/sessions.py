"""The sessions of a storage: refresh tokens, each good for one rotation."""

from datetime import datetime
from enum import Enum, auto
from typing import Final, Protocol, runtime_checkable

from songs.model import Session

MAX_HASH_CHARS: Final = 128
"""The longest hash of a token that a session holds."""


class Rotation(Enum):
    """The result of a rotation."""

    ROTATED = auto()
    """The token was the current one; the next one is current now."""
    RETRIED = auto()
    """The token is the one before, shown again within the grace time. Nothing changed."""
    REUSED = auto()
    """The token was used up before: someone else may hold it. The session is removed."""
    UNKNOWN = auto()
    """There is no such session, or it has expired."""


@runtime_checkable
class SessionRepository(Protocol):
    """The sessions, within one unit of work. Stored are hashes of tokens, never tokens.

    SES-1: A session comes back equal to what was stored, member by member. Hashes are 1 to 128 visible ASCII
        characters. `add` is safe to repeat by id.
    SES-2: `rotate` compares and sets in one atomic write: where `presented_hash` is the session's current hash and it
        has not expired (`expires_at` lies after `at`), `next_hash` becomes current, `presented_hash` previous, `at`
        the time of rotation, and it returns ROTATED. Of concurrent calls with one `presented_hash` at most one
        returns ROTATED.
    SES-3: Where `presented_hash` is the previous hash and `at` is no more than `grace_s` from the rotation, nothing
        changes and it returns RETRIED. That goes for `at` before the rotation as for `at` after it: the clock of the
        process that rotated may be ahead, and a grace time that has yet to begin would not end for as long.
    SES-4: Any other hash for an existing session removes the session and returns REUSED. It *returns* that: raising
        would roll the removal back.
    SES-5: No such session, or one that has expired at `at` (`expires_at` itself included): UNKNOWN, and nothing
        changes.
    SES-6: `rotate` is safe to repeat: where `next_hash` is current and `presented_hash` previous already, it returns
        ROTATED and nothing changes.
    SES-7: `delete` removes one session, `delete_of_user` up to `limit` sessions of a user, but not the one in
        `keep_id`, if given, and returns how many: fewer than `limit` only where no more were there. Removing what is
        not there is no error, and keeping what is not there keeps nothing.
    SES-8: `delete_expired` removes up to `limit` sessions that have expired at `at`, as in SES-5, and returns how many:
        fewer than `limit` only where no more were there.
    """

    def add(self, session: Session) -> None:
        """Store a new session."""
        ...

    def get(self, session_id: str) -> Session | None:
        """Return the session with this id, expired or not, or None."""
        ...

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Use up one refresh token and make the next one current."""
        ...

    def delete(self, session_id: str) -> None:
        """Remove a session."""
        ...

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        """Remove sessions of a user; return how many."""
        ...

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        """Remove expired sessions; return how many."""
        ...
