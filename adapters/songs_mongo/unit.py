"""One unit of work."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from songs.errors import (
    Conflict,
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageDamaged,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
    Unsupported,
)
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_mongo.accounts import MongoSessions, MongoUsers
from songs_mongo.client import Attempts, Primaries
from songs_mongo.encoding import flag, text, whole
from songs_mongo.errors import (
    UNREADABLE_ANSWER,
    UNTRANSFERABLE,
    translated,
    translated_commit,
    unreadable,
    untransferable,
)
from songs_mongo.maintenance import MongoBatches
from songs_mongo.migrations import Identity
from songs_mongo.ratings import MongoRatings
from songs_mongo.schema import COHERENCE, META, SCHEMA, Commands, Document, Transaction
from songs_mongo.songs import MongoSongs, Selectivity
from songs_plugins.guarded_unit import GuardedUnit
from songs_plugins.values import UNREADABLE, damaged


class MongoCoherence:
    """The coherence record: one document, which `prepare` makes."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def read(self) -> CoherenceRecord:
        document = self._transaction.read(lambda db, session: db[META].find_one({"_id": COHERENCE}, session=session))
        return _record(document)

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        self._transaction.writing()
        document = self._transaction.write(
            lambda db, session: db[META].find_one_and_update(
                {"_id": COHERENCE, "epoch": expected_epoch},
                {"$inc": {"epoch": 1}, "$set": {"cache_on": cache_on, "cache": cache}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
        )
        return self.read() if document is None else _record(document)


def _record(document: Document | None) -> CoherenceRecord:
    if document is None:
        raise StorageMismatch("The database lacks the coherence record; run `songs prepare`.")
    try:
        # One that no process of this version has advanced yet names no cache.
        cache = text(document.get("cache", ""))
        return CoherenceRecord(whole(document["epoch"]), flag(document["cache_on"]), cache)
    except UNREADABLE as error:
        raise damaged("record", COHERENCE, error) from error


T = TypeVar("T")

COMMITS: Final = 3
"""How often a commit is sent that is not answered; the driver repeats each once by itself."""
READS: Final = 3
"""How often a read is made, in all, while one primary follows another."""
LOOKS_LATE_S: Final = 0.25
"""While it waits for a server the driver looks at the time every half second, so it may come back that much late."""
DURABLE: Final = WriteConcern(w="majority", j=True)


class Unit(GuardedUnit[Database[Document]]):
    """A unit of work on a database.

    Only WRITE_MANY takes a session and a transaction. In the other scopes each command stands for itself: the one
    write of a WRITE_ONE unit is kept when its call returns, whatever happens in the block after it.
    """

    __slots__ = (
        "_afterwards",
        "_attempts",
        "_database",
        "_identity",
        "_primaries",
        "_selectivity",
        "_sent",
        "_session",
        "_transactions",
    )

    def __init__(
        self,
        database: Database[Document],
        selectivity: Selectivity,
        attempts: Attempts,
        primaries: Primaries | None,
        identity: Identity,
        scope: Scope,
        deadline: Deadline,
        *,
        transactions: bool,
    ) -> None:
        super().__init__(scope, deadline)
        self._database = database
        self._selectivity = selectivity
        self._attempts = attempts
        self._primaries = primaries
        self._identity = identity
        self._transactions = transactions
        self._session: ClientSession | None = None
        self._sent = False
        self._afterwards: list[Callable[[], None]] = []

    @property
    def songs(self) -> MongoSongs:
        """The songs."""
        return MongoSongs(self, self._selectivity)

    @property
    def ratings(self) -> MongoRatings:
        """The ratings."""
        return MongoRatings(self)

    @property
    def users(self) -> MongoUsers:
        """The users."""
        return MongoUsers(self)

    @property
    def sessions(self) -> MongoSessions:
        """The sessions."""
        return MongoSessions(self)

    @property
    def coherence(self) -> MongoCoherence:
        """The coherence record."""
        return MongoCoherence(self)

    @property
    def batches(self) -> MongoBatches:
        """Reads of many records at once."""
        return MongoBatches(self, self._selectivity)

    @property
    def transactional(self) -> bool:
        """Whether the commands are part of a transaction."""
        return self._session is not None

    def read(self, commands: Commands[T]) -> T:
        """Run commands that change nothing; return what they return."""
        primaries = self._primaries
        if primaries is None or self.transactional:
            return self._run(commands, writing=False)
        return self._run(lambda db, session: _up_to_date(primaries, commands, db, session), writing=False)

    def try_to_read(self, commands: Commands[T]) -> T | None:
        """Run commands that nothing depends on, with a quarter of the time; return None where they fail."""
        database = self.reading()
        if self.transactional:
            return None
        try:
            with self._bounded(self.left_s / 4):
                return commands(database, self._session)
        except (PyMongoError, *UNREADABLE_ANSWER):
            return None

    def write(self, commands: Commands[T], *, many: bool = False) -> T:
        """Run commands of a write, of `many` documents or of one; return what they return."""
        result = self._run(commands, writing=True, many=many)
        self._sent = True
        return result

    def confirm(self) -> None:
        """Return if the data are there still that the storage was opened with."""
        record = self.read(lambda db, session: db[META].find_one({"_id": SCHEMA}, session=session))
        try:
            self._identity.compare(record)
        except StorageUnavailable as error:
            raise self.failed(error) from error

    def given_up(self) -> SongsError:
        """Return the error for a write that others were in the way of too often."""
        return self.failed(TransientConflict())

    def afterwards(self, tidy: Callable[[], None]) -> None:
        """Have `tidy` run once the unit's writes are kept."""
        self._afterwards.append(tidy)

    def failed(self, error: SongsError) -> SongsError:
        if self.transactional:
            # The server has ended the transaction, or a write of it is incomplete: nothing may be committed.
            return super().failed(error)
        if self._sent and isinstance(error, StorageUnavailable | DeadlineExceeded | TransientConflict):
            # An earlier command of this write is kept, and the next unit may complete the write.
            return OutcomeUnknown()
        return error

    def _begin(self) -> Database[Document]:
        if self._scope is Scope.WRITE_MANY:
            if not self._transactions:
                raise Unsupported("This MongoDB deployment has no transactions, or the settings turn them off.")
            self._start()
        if self._identity.is_away:
            self._look_again()
        return self._database

    def _end(self, held: Database[Document], *, commit: bool) -> None:
        if self._session is not None:
            try:
                if commit:
                    self._commit(self._session)
                else:
                    self._abort(self._session)
            finally:
                self._end_session()
        if commit:
            self._tidy()

    def _look_again(self) -> None:
        self.hold(self._database)
        try:
            self.confirm()
        except BaseException:
            self._end(self._database, commit=False)
            raise

    def _start(self) -> None:
        try:
            with self._attempts.bounded(self.left_s):
                self._session = self._database.client.start_session(causal_consistency=True)
            self._session.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=DURABLE)
        except PyMongoError as error:
            self._end_session()
            raise translated(error, writing=False) from error

    def _run(self, commands: Commands[T], *, writing: bool, many: bool = False) -> T:
        database = self.reading()
        try:
            with self._bounded(self.left_s):
                return commands(database, self._session)
        except StorageDamaged as error:
            # A write that meets a damaged record in its answer is kept.
            self._sent |= writing
            raise self.failed(error) from error
        except PyMongoError as error:
            raise self.failed(self._translated(error, writing=writing, many=many)) from error
        except UNTRANSFERABLE as error:
            raise self.failed(untransferable()) from error
        except UNREADABLE_ANSWER as error:
            raise self.failed(unreadable(error, writing=writing and not self.transactional)) from error

    def _translated(self, error: PyMongoError, *, writing: bool, many: bool) -> SongsError:
        failed_before = self._attempts.failed_before(error)
        found = translated(
            error, writing=writing, many=many, in_transaction=self.transactional, failed_before=failed_before
        )
        # What is there already may be what an attempt without an answer left.
        self._sent |= failed_before and isinstance(found, Conflict)
        return found

    def _bounded(self, remaining_s: float) -> AbstractContextManager[None]:
        return self._attempts.bounded(_budget_s(remaining_s))

    def _commit(self, session: ClientSession) -> None:
        for attempt in range(1, COMMITS + 1):
            remaining_s = self._deadline.remaining_s()
            if remaining_s <= 0.0:
                self._abort(session)
                raise OutcomeUnknown if attempt > 1 else DeadlineExceeded
            try:
                with self._bounded(remaining_s):
                    session.commit_transaction()
                return
            except PyMongoError as error:
                again = error.has_error_label("UnknownTransactionCommitResult") and attempt < COMMITS
                if not again:
                    raise translated_commit(error) from error
            except UNREADABLE_ANSWER as error:
                raise unreadable(error, writing=True) from error

    def _abort(self, session: ClientSession) -> None:
        # What cannot be aborted now, the server aborts by itself.
        with (
            contextlib.suppress(PyMongoError, *UNREADABLE_ANSWER),
            self._bounded(max(0.1, self._deadline.remaining_s())),
        ):
            if session.in_transaction:
                session.abort_transaction()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(PyMongoError):
                session.end_session()

    def _tidy(self) -> None:
        for tidy in self._afterwards:
            # Nothing depends on it: what is left over now is ignored, and tidied up another time.
            with contextlib.suppress(SongsError):
                tidy()


def _up_to_date(
    primaries: Primaries, commands: Commands[T], database: Database[Document], session: ClientSession | None
) -> T:
    """Run commands that change nothing on a primary that shows all that earlier ones acknowledged."""
    for _ in range(READS - 1):
        primary = primaries.confirm(database)
        result = commands(database, session)
        now = primaries.current
        if now is None or now == primary:
            return result
    primaries.confirm(database)
    return commands(database, session)


def _budget_s(remaining_s: float) -> float:
    return remaining_s - min(LOOKS_LATE_S, remaining_s / 4)
