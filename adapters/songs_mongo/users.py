"""The users."""

from typing import Final

from songs.errors import Conflict, UserExists, UserNotFound, VersionConflict
from songs.model import User, name_key
from songs_mongo import encoding
from songs_mongo.schema import USERS, Document
from songs_mongo.sessions import remove_some
from songs_mongo.transaction import Transaction, in_one_batch

ENDED_WITH_USER: Final = 100


class MongoUsers:
    """The users: one document each."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, user_id: str) -> User | None:
        return self._one({"_id": encoding.sought(user_id)})

    def by_name(self, name: str) -> User | None:
        return self._one({"name_key": encoding.sought(name_key(name))})

    def add(self, user: User) -> None:
        self._transaction.writing()
        document = encoding.user_document(user)
        if self._transaction.transactional and self._is_taken(user):
            return
        try:
            self._transaction.write(lambda db, session: db[USERS].insert_one(document, session=session))
        except Conflict as conflict:
            if not self._is_taken(user):
                # Whoever had the name or the id is gone again by now.
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
        key = encoding.sought(user_id)
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
        most = encoding.bounded(limit)
        beyond = {"_id": {"$gt": encoding.sought(after_id or "")}}
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
        if same_id is not None and same_id.name_key == user.name_key:
            return True
        if same_id is not None or self.by_name(user.name) is not None:
            raise UserExists
        return False

    def _end_sessions(self, user_id: str) -> None:
        remove_some(self._transaction, {"user_id": user_id}, limit=ENDED_WITH_USER)
