"""The sessions."""
# ruff: noqa: S608 - statements are put together from constants of this package; values are bound

from datetime import datetime, timedelta
from typing import Final

from songs.model import Session
from songs.ports.sessions import Rotation
from songs_postgres.encoding import SESSION_COLUMNS, bounded, milliseconds, session, sought
from songs_postgres.transaction import Transaction

GET: Final = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE id = %s"
LOCK: Final = f"{GET} FOR UPDATE"
ADD: Final = f"INSERT INTO sessions ({SESSION_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
ROTATE: Final = "UPDATE sessions SET previous_hash = %s, current_hash = %s, rotated_at_ms = %s WHERE id = %s"
DELETE: Final = "DELETE FROM sessions WHERE id = %s"
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
        hashes = (session.current_hash, session.previous_hash)
        times = map(milliseconds, (session.created_at, session.rotated_at, session.expires_at))
        self._transaction.rows(ADD, (session.id, session.user_id, *hashes, *times))

    def get(self, session_id: str) -> Session | None:
        rows = self._transaction.rows(GET, (sought(session_id),))
        return session(rows[0]) if rows else None

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        self._transaction.writing()
        rows = self._transaction.rows(LOCK, (sought(session_id),))
        if not rows or (stored := session(rows[0])).expires_at <= at:
            return Rotation.UNKNOWN
        if (stored.current_hash, stored.previous_hash) == (next_hash, presented_hash):
            return Rotation.ROTATED
        if presented_hash == stored.current_hash:
            self._transaction.rows(ROTATE, (presented_hash, next_hash, milliseconds(at), stored.id))
            return Rotation.ROTATED
        if presented_hash == stored.previous_hash and abs(at - stored.rotated_at) <= timedelta(seconds=grace_s):
            return Rotation.RETRIED
        self._transaction.rows(DELETE, (stored.id,))
        return Rotation.REUSED

    def delete(self, session_id: str) -> None:
        self._transaction.writing()
        self._transaction.rows(DELETE, (sought(session_id),))

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        self._transaction.writing()
        # No session has the empty id.
        wanted = (sought(user_id), sought(keep_id or ""), bounded(limit))
        return len(self._transaction.rows(DELETE_OF_USER, wanted))

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        self._transaction.writing()
        return len(self._transaction.rows(DELETE_EXPIRED, (milliseconds(at), bounded(limit))))
