"""The repositories of users and of sessions."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from songs.errors import UserExists, UserNotFound, VersionConflict
from songs.model import Session, User, name_key
from songs.ports.sessions import Rotation
from songs_memory.view import View

ENDED_WITH_USER: Final = 100
"""How many sessions go with their user: a write of any number of them would keep all others waiting."""


class MemoryUsers:
    """The users, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def get(self, user_id: str) -> User | None:
        return self._view.reading().users.rows.get(user_id)

    def by_name(self, name: str) -> User | None:
        users = self._view.reading().users
        user_id = users.names.get(name_key(name))
        return None if user_id is None else users.rows[user_id]

    def add(self, user: User) -> None:
        state = self._view.writing()
        same_id = state.users.rows.get(user.id)
        if same_id is not None and same_id.name_key == user.name_key:
            return
        if same_id is not None or user.name_key in state.users.names:
            raise UserExists
        self._view.stage(replace(state, users=state.users.plus(user)))

    def replace(self, user: User, *, if_version: int) -> None:
        state = self._view.writing()
        stored = state.users.rows.get(user.id)
        if stored is None:
            raise UserNotFound
        if stored == user:
            return
        if stored.version != if_version:
            raise VersionConflict
        changed = user if user.name == stored.name else replace(user, name=stored.name)
        self._view.stage(replace(state, users=state.users.changed(changed)))

    def delete(self, user_id: str) -> bool:
        state = self._view.writing()
        stored = state.users.rows.get(user_id)
        if stored is None:
            return False
        ended = state.sessions.of(user_id, limit=ENDED_WITH_USER)
        self._view.stage(replace(state, users=state.users.minus(stored), sessions=state.sessions.minus(*ended)))
        return True

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        users = self._view.reading().users
        return tuple(users.rows[user_id] for user_id in users.order.page(limit=limit, after_id=after_id))


class MemorySessions:
    """The sessions, within one unit of work."""

    __slots__ = ("_view",)

    def __init__(self, view: View) -> None:
        self._view = view

    def add(self, session: Session) -> None:
        state = self._view.writing()
        if session.id not in state.sessions.rows:
            self._view.stage(replace(state, sessions=state.sessions.plus(session)))

    def get(self, session_id: str) -> Session | None:
        return self._view.reading().sessions.rows.get(session_id)

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        state = self._view.writing()
        session = state.sessions.rows.get(session_id)
        if session is None or session.expires_at <= at:
            return Rotation.UNKNOWN
        if (session.current_hash, session.previous_hash) == (next_hash, presented_hash):
            return Rotation.ROTATED
        if presented_hash == session.current_hash:
            rotated = replace(session, current_hash=next_hash, previous_hash=presented_hash, rotated_at=at)
            self._view.stage(replace(state, sessions=state.sessions.changed(rotated)))
            return Rotation.ROTATED
        if presented_hash == session.previous_hash and abs(at - session.rotated_at) <= timedelta(seconds=grace_s):
            return Rotation.RETRIED
        self._view.stage(replace(state, sessions=state.sessions.minus(session)))
        return Rotation.REUSED

    def delete(self, session_id: str) -> None:
        state = self._view.writing()
        session = state.sessions.rows.get(session_id)
        if session is not None:
            self._view.stage(replace(state, sessions=state.sessions.minus(session)))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        state = self._view.writing()
        found = state.sessions.of(user_id, limit=limit, keep_id=keep_id)
        self._view.stage(replace(state, sessions=state.sessions.minus(*found)))
        return len(found)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        state = self._view.writing()
        expired = state.sessions.expired(at, limit)
        self._view.stage(replace(state, sessions=state.sessions.minus(*expired)))
        return len(expired)
