"""The users."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from typing import Final

from songs.errors import TransientConflict, UserExists, UserNotFound, VersionConflict
from songs.model import User, name_key
from songs_postgres.encoding import USER_COLUMNS, bounded, milliseconds, sought, user
from songs_postgres.transaction import Transaction

GET: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id = %s"
LOCK: Final = f"{GET} FOR NO KEY UPDATE"
BY_NAME: Final = f"SELECT {USER_COLUMNS} FROM users WHERE name_key = %s"
FIND: Final = f"SELECT {USER_COLUMNS} FROM users WHERE id > %s ORDER BY id LIMIT %s"
ADD: Final = (
    f"INSERT INTO users ({USER_COLUMNS}, name_key) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON CONFLICT DO NOTHING RETURNING id"
)
STORED: Final = "SELECT id, name_key FROM users WHERE id = %s OR name_key = %s"
REPLACE: Final = (
    "UPDATE users SET password_hash = %s, role = %s, disabled = %s, created_at_ms = %s, token_version = %s, "
    "version = %s WHERE id = %s"
)
ENDED_WITH_USER: Final = 100
DELETE: Final = (
    "WITH ended AS (DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = %s "
    f"LIMIT {ENDED_WITH_USER})) DELETE FROM users WHERE id = %s RETURNING id"
)


class PostgresUsers:
    """The users, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        rows = self._transaction.rows(GET, (sought(user_id),))
        return user(rows[0]) if rows else None

    def by_name(self, name: str) -> User | None:
        rows = self._transaction.rows(BY_NAME, (sought(name_key(name)),))
        return user(rows[0]) if rows else None

    def add(self, user: User) -> None:
        self._transaction.writing()
        created_at_ms = milliseconds(user.created_at)
        row = (user.id, user.name, user.password_hash, user.role.value, user.disabled, created_at_ms)
        if self._transaction.rows(ADD, (*row, user.token_version, user.version, user.name_key)):
            return
        stored = self._transaction.rows(STORED, (user.id, user.name_key))
        if not stored:
            # What this user gave way to has been deleted since.
            raise TransientConflict
        if (user.id, user.name_key) not in stored:
            raise UserExists

    def replace(self, user: User, *, if_version: int) -> None:
        self._transaction.writing()
        stored = self._locked(user.id)
        if stored == user:
            return
        if stored is None:
            raise UserNotFound
        if stored.version != if_version:
            raise VersionConflict
        row = (user.password_hash, user.role.value, user.disabled, milliseconds(user.created_at))
        self._transaction.rows(REPLACE, (*row, user.token_version, user.version, user.id))

    def delete(self, user_id: str) -> bool:
        self._transaction.writing()
        return bool(self._transaction.rows(DELETE, (sought(user_id), sought(user_id))))

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        rows = self._transaction.rows(FIND, (sought(after_id or ""), bounded(limit)))
        return tuple(map(user, rows))

    def _locked(self, user_id: str) -> User | None:
        rows = self._transaction.rows(LOCK, (sought(user_id),))
        return user(rows[0]) if rows else None
