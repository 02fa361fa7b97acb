"""The users and their sessions."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from songs.errors import UserExists
from songs.model import Session, User, name_key
from songs.ports.sessions import Rotation
from songs_jsonfile.changes import Put, Remove
from songs_plugins.decisions import decide_rotation, is_repeat, replaceable
from songs_plugins.values import clamped

if TYPE_CHECKING:
    from songs_jsonfile.unit import Unit


class JsonFileUsers:
    """The users, in one unit of work."""

    def __init__(self, unit: "Unit") -> None:
        self._unit = unit

    def get(self, user_id: str) -> User | None:
        with self._unit.read() as state:
            return state.users.get(user_id)

    def by_name(self, name: str) -> User | None:
        with self._unit.read() as state:
            user_id = state.names.get(name_key(name))
            return None if user_id is None else state.users[user_id]

    def add(self, user: User) -> None:
        with self._unit.write() as state:
            same_id = state.users.get(user.id)
            if is_repeat(same_id, user):
                return
            if same_id is not None or user.name_key in state.names:
                raise UserExists
            self._unit.record(Put((user,)))

    def replace(self, user: User, *, if_version: int) -> None:
        with self._unit.write() as state:
            stored = replaceable(state.users.get(user.id), user, if_version=if_version)
            if stored is not None:
                self._unit.record(Put((replace(user, name=stored.name),)))

    def delete(self, user_id: str) -> bool:
        with self._unit.write() as state:
            if user_id not in state.users:
                return False
            self._unit.record(Remove(User, (user_id,)))
            return True

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        with self._unit.read() as state:
            ids = sorted(each for each in state.users if after_id is None or each > after_id)
            return tuple(state.users[each] for each in ids[: clamped(limit)])


class JsonFileSessions:
    """The sessions, in one unit of work."""

    def __init__(self, unit: "Unit") -> None:
        self._unit = unit

    def add(self, session: Session) -> None:
        with self._unit.write() as state:
            if session.id not in state.sessions:
                self._unit.record(Put((session,)))

    def get(self, session_id: str) -> Session | None:
        with self._unit.read() as state:
            return state.sessions.get(session_id)

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        with self._unit.write() as state:
            stored = state.sessions.get(session_id)
            rotation, rotated = decide_rotation(
                stored, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
            )
            if rotated is not None:
                self._unit.record(Put((rotated,)))
            elif rotation is Rotation.REUSED:
                self._unit.record(Remove(Session, (session_id,)))
            return rotation

    def delete(self, session_id: str) -> None:
        with self._unit.write() as state:
            self._remove([session_id] if session_id in state.sessions else [])

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        with self._unit.write() as state:
            of_user = [each.id for each in state.sessions.values() if each.user_id == user_id and each.id != keep_id]
            ended = of_user[: clamped(limit)]
            self._remove(ended)
            return len(ended)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        with self._unit.write() as state:
            expired = [each.id for each in state.sessions.values() if each.expires_at <= at][: clamped(limit)]
            self._remove(expired)
            return len(expired)

    def _remove(self, ids: list[str]) -> None:
        if ids:
            self._unit.record(Remove(Session, tuple(ids)))
