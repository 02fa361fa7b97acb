"""The sessions."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from datetime import datetime, timedelta
from typing import Final

from songs.model import Session
from songs.ports.sessions import Rotation
from songs_sqlite import encoding
from songs_sqlite.transaction import Transaction

GET: Final = f"SELECT {encoding.SESSION_COLUMNS} FROM sessions WHERE id = ?"
ADD: Final = f"INSERT INTO sessions ({encoding.SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
ROTATE: Final = "UPDATE sessions SET previous_hash = ?, current_hash = ?, rotated_at_ms = ? WHERE id = ?"
DELETE: Final = "DELETE FROM sessions WHERE id = ?"
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
        self._transaction.change(ADD, encoding.session_row(session))

    def get(self, session_id: str) -> Session | None:
        rows = self._transaction.rows(GET, (encoding.sought(session_id),))
        return encoding.session(rows[0]) if rows else None

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        self._transaction.writing()
        session = self.get(session_id)
        if session is None or session.expires_at <= at:
            return Rotation.UNKNOWN
        if (session.current_hash, session.previous_hash) == (next_hash, presented_hash):
            return Rotation.ROTATED
        if presented_hash == session.current_hash:
            self._transaction.change(ROTATE, (presented_hash, next_hash, encoding.milliseconds(at), session.id))
            return Rotation.ROTATED
        if presented_hash == session.previous_hash and abs(at - session.rotated_at) <= timedelta(seconds=grace_s):
            return Rotation.RETRIED
        self._transaction.change(DELETE, (session.id,))
        return Rotation.REUSED

    def delete(self, session_id: str) -> None:
        self._transaction.writing()
        self._transaction.change(DELETE, (encoding.sought(session_id),))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        self._transaction.writing()
        # No session has the empty id.
        wanted = (encoding.sought(user_id), encoding.sought(keep_id or ""), encoding.bounded(limit))
        return self._transaction.change(DELETE_OF_USER, wanted)

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        self._transaction.writing()
        return self._transaction.change(DELETE_EXPIRED, (encoding.milliseconds(at), encoding.bounded(limit)))
