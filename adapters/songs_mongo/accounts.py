"""The repositories of users and sessions."""

from datetime import datetime
from typing import Final

from songs.errors import Conflict, UserExists, UserNotFound, VersionConflict
from songs.model import Session, User, name_key
from songs.ports.sessions import Rotation
from songs_mongo import encoding
from songs_mongo.schema import SESSIONS, USERS, Document, Transaction, in_one_batch
from songs_plugins.decisions import ENDED_WITH_USER, decide_rotation, is_repeat
from songs_plugins.values import LARGEST_INT32, clamped, comparable, milliseconds

ATTEMPTS: Final = 8


class MongoSessions:
    """The sessions: one document each."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, session: Session) -> None:
        self._transaction.writing()
        if self._transaction.transactional and self.get(session.id) is not None:
            return
        document = encoding.session_document(session)
        try:
            self._transaction.write(lambda db, s: db[SESSIONS].insert_one(document, session=s))
        except Conflict as conflict:
            # The server says so before a majority has the one that is there, which may be taken back yet.
            if self.get(session.id) is None:
                raise self._transaction.given_up() from conflict.__cause__
        else:
            self._transaction.confirm()

    def get(self, session_id: str) -> Session | None:
        key = {"_id": comparable(session_id)}
        document = self._transaction.read(lambda db, s: db[SESSIONS].find_one(key, session=s))
        return encoding.session(document) if document is not None else None

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        self._transaction.writing()
        at_ms, presented = milliseconds(at), comparable(presented_hash)
        current = {"_id": comparable(session_id), "current_hash": presented, "expires_at": {"$gt": at_ms}}
        following = {"current_hash": next_hash, "previous_hash": presented, "rotated_at": at_ms}
        for _ in range(ATTEMPTS):
            if self._change(current, following):
                return Rotation.ROTATED
            stored = self.get(session_id)
            rotation, rotated = decide_rotation(
                stored, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s
            )
            if stored is not None and rotation is Rotation.REUSED:
                if self._revoke(stored):
                    return rotation
            elif rotated is None:
                return rotation
        raise self._transaction.given_up()

    def delete(self, session_id: str) -> None:
        self._delete({"_id": comparable(session_id)})

    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        self._transaction.writing()
        # No session has the empty id.
        of_user = {"user_id": comparable(user_id), "_id": {"$ne": comparable(keep_id or "")}}
        deleted = remove_some(self._transaction, of_user, limit=clamped(limit, LARGEST_INT32))
        if not deleted:
            self._transaction.confirm()
        return deleted

    def delete_expired(self, *, at: datetime, limit: int) -> int:
        self._transaction.writing()
        expired = {"expires_at": {"$lte": milliseconds(at)}}
        return remove_some(self._transaction, expired, limit=clamped(limit, LARGEST_INT32))

    def _delete(self, condition: Document) -> None:
        self._transaction.writing()
        if not _remove(self._transaction, condition):
            self._transaction.confirm()

    def _change(self, condition: Document, members: Document) -> bool:
        change = {"$set": members}
        return self._transaction.write(
            lambda db, s: db[SESSIONS].update_one(condition, change, session=s).matched_count > 0
        )

    def _revoke(self, session: Session) -> bool:
        seen = {
            "_id": session.id,
            "current_hash": session.current_hash,
            "previous_hash": session.previous_hash,
        }
        return self._transaction.write(lambda db, s: db[SESSIONS].delete_one(seen, session=s).deleted_count > 0)


def remove_some(transaction: Transaction, condition: Document, *, limit: int) -> int:
    """Remove up to `limit` sessions that meet a condition; return how many: fewer only where no more are there."""
    removed = 0
    while removed < limit:
        most = limit - removed
        found = _some(transaction, condition, most)
        if found:
            removed += _remove(transaction, {**condition, "_id": {"$in": found}})
        if len(found) < most:
            break
    return removed


def _some(transaction: Transaction, condition: Document, most: int) -> list[str]:
    found = transaction.read(
        lambda db, s: list(in_one_batch(db[SESSIONS].find(condition, {"_id": 1}, session=s).limit(most), most))
    )
    return [document["_id"] for document in found]


def _remove(transaction: Transaction, condition: Document) -> int:
    return transaction.write(lambda db, s: db[SESSIONS].delete_many(condition, session=s).deleted_count, many=True)


class MongoUsers:
    """The users: one document each."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        return self._one({"_id": comparable(user_id)})

    def by_name(self, name: str) -> User | None:
        return self._one({"name_key": comparable(name_key(name))})

    def add(self, user: User) -> None:
        self._transaction.writing()
        document = encoding.user_document(user)
        if self._transaction.transactional and self._is_taken(user):
            return
        try:
            self._transaction.write(lambda db, session: db[USERS].insert_one(document, session=session))
        except Conflict as conflict:
            if not self._is_taken(user):
                # The user that had the name or the id is gone by now.
                raise self._transaction.given_up() from conflict.__cause__
        else:
            self._transaction.confirm()

    def replace(self, user: User, *, if_version: int) -> None:
        self._transaction.writing()
        members = encoding.user_document(user)
        for name in ("_id", "name", "name_key"):
            del members[name]
        seen = {"_id": user.id, "version": if_version}
        if self._transaction.write(
            lambda db, session: db[USERS].update_one(seen, {"$set": members}, session=session).matched_count
        ):
            return
        stored = self.get(user.id)
        if stored is None:
            raise UserNotFound
        if stored != user:
            raise VersionConflict

    def delete(self, user_id: str) -> bool:
        self._transaction.writing()
        key = comparable(user_id)
        self._end_sessions(key)
        deleted = self._transaction.write(
            lambda db, session: db[USERS].delete_one({"_id": key}, session=session).deleted_count > 0
        )
        if deleted and not self._transaction.transactional:
            # Those that began in between; from now on nobody can sign in under this id.
            self._end_sessions(key)
        if not deleted:
            self._transaction.confirm()
        return deleted

    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        most = clamped(limit, LARGEST_INT32)
        beyond = {"_id": {"$gt": comparable(after_id or "")}}
        if most == 0:
            return ()
        found = self._transaction.read(
            lambda db, session: list(
                in_one_batch(db[USERS].find(beyond, session=session).sort("_id", 1).limit(most), most)
            )
        )
        return tuple(map(encoding.user, found))

    def _one(self, condition: Document) -> User | None:
        document = self._transaction.read(lambda db, session: db[USERS].find_one(condition, session=session))
        return encoding.user(document) if document is not None else None

    def _is_taken(self, user: User) -> bool:
        """Return whether `user` is stored already.

        Raises:
            UserExists: Its id or its name is somebody else's.
        """
        same_id = self.get(user.id)
        if is_repeat(same_id, user):
            return True
        if same_id is not None or self.by_name(user.name) is not None:
            raise UserExists
        return False

    def _end_sessions(self, user_id: str) -> None:
        remove_some(self._transaction, {"user_id": user_id}, limit=ENDED_WITH_USER)
