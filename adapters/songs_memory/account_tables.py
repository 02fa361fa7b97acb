"""The users and sessions of one state."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self

from immutables import Map

from songs.model import Session, User
from songs_memory.sorted_items import SortedItems

_NONE: Final = SortedItems[str](str)


@dataclass(frozen=True, slots=True)
class UserTable:
    """Users by id, by name and in order. Immutable."""

    rows: Map[str, User] = field(default_factory=Map)
    names: Map[str, str] = field(default_factory=Map)
    order: SortedItems[str] = _NONE

    def plus(self, user: User) -> Self:
        """Return the table with one more user, whose id and name are new to it."""
        return type(self)(
            self.rows.set(user.id, user), self.names.set(user.name_key, user.id), self.order.plus((user.id,))
        )

    def changed(self, user: User) -> Self:
        """Return the table with the new state of a user whose name is still the same."""
        return type(self)(self.rows.set(user.id, user), self.names, self.order)

    def minus(self, user: User) -> Self:
        """Return the table without a user."""
        return type(self)(self.rows.delete(user.id), self.names.delete(user.name_key), self.order.minus(user.id))


@dataclass(frozen=True, slots=True)
class SessionTable:
    """Sessions by id, by user, and in the order in which they expire. Immutable."""

    rows: Map[str, Session] = field(default_factory=Map)
    of_user: Map[str, SortedItems[str]] = field(default_factory=Map)
    expiries: SortedItems[str] = _NONE

    def plus(self, session: Session) -> Self:
        """Return the table with one more session, whose id is new to it."""
        sessions = self.of_user.get(session.user_id, _NONE).plus((session.id,))
        return type(self)(
            self.rows.set(session.id, session),
            self.of_user.set(session.user_id, sessions),
            self.expiries.plus((_expiry(session.expires_at, session.id),)),
        )

    def changed(self, session: Session) -> Self:
        """Return the table with the new state of a session whose user and expiry are still the same."""
        return type(self)(self.rows.set(session.id, session), self.of_user, self.expiries)

    def minus(self, *sessions: Session) -> Self:
        """Return the table without these sessions."""
        table = self
        for session in sessions:
            rest = table.of_user[session.user_id].minus(session.id)
            table = type(self)(
                table.rows.delete(session.id),
                table.of_user.set(session.user_id, rest) if rest else table.of_user.delete(session.user_id),
                table.expiries.minus(_expiry(session.expires_at, session.id)),
            )
        return table

    def of(self, user_id: str, *, limit: int, keep_id: str | None = None) -> list[Session]:
        """Return at most `limit` sessions of a user, none of them `keep_id`."""
        ids = self.of_user.get(user_id, _NONE).page(limit=limit + 1)
        return [self.rows[session_id] for session_id in ids if session_id != keep_id][:limit]

    def expired(self, at: datetime, limit: int) -> list[Session]:
        """Return at most `limit` sessions that have expired at `at`, those that expired first."""
        first = self.expiries.page(limit=limit)
        sessions = (self.rows[entry.partition(" ")[2]] for entry in first)
        return [session for session in sessions if session.expires_at <= at]


def _expiry(at: datetime, session_id: str) -> str:
    # ISO 8601 with four digits of year sorts as text as the times do.
    return f"{at.isoformat(timespec='milliseconds')} {session_id}"
