"""The users and the sessions."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from datetime import datetime
from typing import Final

from songs.errors import TransientConflict, UserExists
from songs.model import Session, User, name_key
from songs.ports.sessions import Rotation
from songs_plugins.decisions import ENDED_WITH_USER, decide_rotation, replaceable
from songs_plugins.rows import SESSION_COLUMNS, USER_COLUMNS, session_of, session_row, user_of, user_row
from songs_plugins.values import clamped, comparable, milliseconds
from songs_postgres.connection import Transaction

GET_USER: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id = %s"
LOCK_USER: Final = f"{GET_USER} FOR NO KEY UPDATE"
BY_NAME: Final = f"SELECT {USER_COLUMNS} FROM users WHERE name_key = %s"
FIND_USERS: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id > %s ORDER BY id LIMIT %s"
ADD_USER: Final = (
    f"INSERT INTO users ({USER_COLUMNS}, name_key) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT DO NOTHING RETURNING id"
)
STORED_USERS: Final = "SELECT id, name_key FROM users WHERE id = %s OR name_key = %s"
REPLACE_USER: Final = (
    "UPDATE users SET password_hash = %s, role = %s, disabled = %s, created_at_ms = %s, token_version = %s, "
    "version = %s WHERE id = %s"
)
DELETE_USER: Final = (
    "WITH ended AS (DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = %s "
    f"LIMIT {ENDED_WITH_USER})) DELETE FROM users WHERE id = %s RETURNING id"
)


class PostgresUsers:
    """The users, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        rows = self._transaction.rows(GET_USER, (comparable(user_id),))
        return user_of(rows[0]) if rows else None

    def by_name(self, name: str) -> User | None:
        rows = self._transaction.rows(BY_NAME, (comparable(name_key(name)),))
        return user_of(rows[0]) if rows else None

    def add(self, user: User) -> None:
        self._transaction.writing()
        if self._transaction.rows(ADD_USER, (*user_row(user), user.name_key)):
            return
        stored = self._transaction.rows(STORED_USERS, (user.id, user.name_key))
        if not stored:
            # What this user gave way to has been deleted since.
            raise TransientConflict
        if (user.id, user.name_key) not in stored:
            raise UserExists

    def replace(self, user: User, *, if_version: int) -> None:
        self._transaction.writing()
        rows = self._transaction.rows(LOCK_USER, (comparable(user.id),))
        stored = user_of(rows[0]) if rows else None
        if replaceable(stored, user, if_version=if_version) is not None:
            self._transaction.rows(REPLACE_USER, (*user_row(user)[2:], user.id))

    def delete(self, user_id: str) -> bool:
        self._transaction.writing()
        return bool(self._transaction.rows(DELETE_USER, (comparable(user_id), comparable(user_id))))

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        rows = self._transaction.rows(FIND_USERS, (comparable(after_id or ""), clamped(limit)))
        return tuple(map(user_of, rows))


GET_SESSION: Final = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = %s"
LOCK_SESSION: Final = f"{GET_SESSION} FOR UPDATE"
ADD_SESSION: Final = (
    f"INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
ROTATE_SESSION: Final = "UPDATE sessions SET previous_hash = %s, current_hash = %s, rotated_at_ms = %s WHERE id = %s"
DELETE_SESSION: Final = "DELETE FROM sessions WHERE id = %s"
DELETE_OF_USER: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = %s AND id <> %s LIMIT %s FOR UPDATE) "
    "RETURNING id"
)
DELETE_EXPIRED: Final = (
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at_ms <= %s "
    "ORDER BY expires_at_ms LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id"
)


class PostgresSessions:
    """The sessions, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, session: Session) -> None:
        self._transaction.writing()
        self._transaction.rows(ADD_SESSION, session_row(session))

    def get(self, session_id: str) -> Session | None:
        rows = self._transaction.rows(GET_SESSION, (comparable(session_id),))
        return session_of(rows[0]) if rows else None

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        self._transaction.writing()
        rows = self._transaction.rows(LOCK_SESSION, (comparable(session_id),))
        stored = session_of(rows[0]) if rows else None
        rotation, rotated = decide_rotation(
            stored, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
        )
        if rotated is not None:
            self._transaction.rows(ROTATE_SESSION, (presented_hash, next_hash, milliseconds(at), rotated.id))
        elif rotation is Rotation.REUSED:
            self._transaction.rows(DELETE_SESSION, (comparable(session_id),))
        return rotation

    def delete(self, session_id: str) -> None:
        self._transaction.writing()
        self._transaction.rows(DELETE_SESSION, (comparable(session_id),))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        self._transaction.writing()
        # No session has the empty id.
        wanted = (comparable(user_id), comparable(keep_id or ""), clamped(limit))
        return len(self._transaction.rows(DELETE_OF_USER, wanted))

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        self._transaction.writing()
        return len(self._transaction.rows(DELETE_EXPIRED, (milliseconds(at), clamped(limit))))
