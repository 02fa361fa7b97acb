"""The users."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from typing import Final

from songs.errors import UserExists, UserNotFound, VersionConflict
from songs.model import User, name_key
from songs_sqlite import encoding
from songs_sqlite.transaction import Transaction

GET: Final = f"SELECT {encoding.USER_COLUMNS} FROM users WHERE id = ?"
BY_NAME: Final = f"SELECT {encoding.USER_COLUMNS} FROM users WHERE name_key = ?"
FIND: Final = f"SELECT {encoding.USER_COLUMNS} FROM users WHERE id > ? ORDER BY id LIMIT ?"
ADD: Final = (
    f"INSERT INTO users ({encoding.USER_COLUMNS}, name_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
REPLACE: Final = (
    "UPDATE users SET password_hash = ?, role = ?, disabled = ?, created_at_ms = ?, token_version = ?, version = ? "
    "WHERE id = ?"
)
DELETE: Final = "DELETE FROM users WHERE id = ?"
ENDED_WITH_USER: Final = 100
"""How many sessions go with their user: a write that removed any number of them would keep all others waiting."""
DELETE_SESSIONS: Final = (
    f"DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ? LIMIT {ENDED_WITH_USER})"
)


class SqliteUsers:
    """The users, in one transaction."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        rows = self._transaction.rows(GET, (encoding.sought(user_id),))
        return encoding.user(rows[0]) if rows else None

    def by_name(self, name: str) -> User | None:
        rows = self._transaction.rows(BY_NAME, (encoding.sought(name_key(name)),))
        return encoding.user(rows[0]) if rows else None

    def add(self, user: User) -> None:
        self._transaction.writing()
        added = self._transaction.change(
            ADD,
            (
                user.id,
                user.name,
                user.password_hash,
                user.role.value,
                user.disabled,
                encoding.milliseconds(user.created_at),
                user.token_version,
                user.version,
                user.name_key,
            ),
        )
        if added:
            return
        stored = self.get(user.id)
        if stored is None or stored.name_key != user.name_key:
            raise UserExists

    def replace(self, user: User, *, if_version: int) -> None:
        self._transaction.writing()
        stored = self.get(user.id)
        if stored == user:
            return
        if stored is None:
            raise UserNotFound
        if stored.version != if_version:
            raise VersionConflict
        self._transaction.change(
            REPLACE,
            (
                user.password_hash,
                user.role.value,
                user.disabled,
                encoding.milliseconds(user.created_at),
                user.token_version,
                user.version,
                user.id,
            ),
        )

    def delete(self, user_id: str) -> bool:
        self._transaction.writing()
        key = (encoding.sought(user_id),)
        self._transaction.change(DELETE_SESSIONS, key)
        return self._transaction.change(DELETE, key) > 0

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        rows = self._transaction.rows(FIND, (encoding.sought(after_id or ""), encoding.bounded(limit)))
        return tuple(map(encoding.user, rows))
