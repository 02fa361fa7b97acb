"""The repositories of users and sessions."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from datetime import datetime
from typing import Final

from songs.errors import UserExists
from songs.model import Session, User, name_key
from songs.ports.sessions import Rotation
from songs_plugins.decisions import ENDED_WITH_USER, decide_rotation, is_repeat, replaceable
from songs_plugins.rows import SESSION_COLUMNS, USER_COLUMNS, session_of, session_row, user_of, user_row
from songs_plugins.values import clamped, comparable, milliseconds
from songs_sqlite.connection import Transaction

GET: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id = ?"
BY_NAME: Final = f"SELECT {USER_COLUMNS} FROM users WHERE name_key = ?"
FIND: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id > ? ORDER BY id LIMIT ?"
ADD: Final = f"INSERT INTO users ({USER_COLUMNS}, name_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
REPLACE: Final = (
    "UPDATE users SET password_hash = ?, role = ?, disabled = ?, created_at_ms = ?, token_version = ?, version = ? "
    "WHERE id = ?"
)
DELETE: Final = "DELETE FROM users WHERE id = ?"
DELETE_SESSIONS: Final = (
    f"DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ? LIMIT {ENDED_WITH_USER})"
)


class SqliteUsers:
    """The users, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        rows = self._transaction.rows(GET, (comparable(user_id),))
        return user_of(rows[0]) if rows else None

    def by_name(self, name: str) -> User | None:
        rows = self._transaction.rows(BY_NAME, (comparable(name_key(name)),))
        return user_of(rows[0]) if rows else None

    def add(self, user: User) -> None:
        self._transaction.writing()
        if self._transaction.change(ADD, (*user_row(user), user.name_key)):
            return
        if not is_repeat(self.get(user.id), user):
            raise UserExists

    def replace(self, user: User, *, if_version: int) -> None:
        self._transaction.writing()
        if replaceable(self.get(user.id), user, if_version=if_version) is not None:
            self._transaction.change(REPLACE, (*user_row(user)[2:], user.id))

    def delete(self, user_id: str) -> bool:
        self._transaction.writing()
        key = (comparable(user_id),)
        self._transaction.change(DELETE_SESSIONS, key)
        return self._transaction.change(DELETE, key) > 0

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        rows = self._transaction.rows(FIND, (comparable(after_id or ""), clamped(limit)))
        return tuple(map(user_of, rows))


GET_SESSION: Final = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = ?"
ADD_SESSION: Final = f"INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
ROTATE: Final = "UPDATE sessions SET previous_hash = ?, current_hash = ?, rotated_at_ms = ? WHERE id = ?"
DELETE_SESSION: Final = "DELETE FROM sessions WHERE id = ?"
DELETE_OF_USER: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ? AND id <> ? LIMIT ?)"
)
DELETE_EXPIRED: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"
)


class SqliteSessions:
    """The sessions, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, session: Session) -> None:
        self._transaction.writing()
        self._transaction.change(ADD_SESSION, session_row(session))

    def get(self, session_id: str) -> Session | None:
        rows = self._transaction.rows(GET_SESSION, (comparable(session_id),))
        return session_of(rows[0]) if rows else None

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        self._transaction.writing()
        rotation, rotated = decide_rotation(
            self.get(session_id), presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
        )
        if rotated is not None:
            self._transaction.change(ROTATE, (presented_hash, next_hash, milliseconds(at), rotated.id))
        elif rotation is Rotation.REUSED:
            self._transaction.change(DELETE_SESSION, (comparable(session_id),))
        return rotation

    def delete(self, session_id: str) -> None:
        self._transaction.writing()
        self._transaction.change(DELETE_SESSION, (comparable(session_id),))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        self._transaction.writing()
        # No session has the empty id.
        wanted = (comparable(user_id), comparable(keep_id or ""), clamped(limit))
        return self._transaction.change(DELETE_OF_USER, wanted)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        self._transaction.writing()
        return self._transaction.change(DELETE_EXPIRED, (milliseconds(at), clamped(limit)))
