"""Storages that several processes share, and that know only their own."""

import threading
import time
from typing import Any, Final, cast

from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_plugins import AdapterSpec
from songs_sqlite.accounts import SqliteUsers
from songs_sqlite.connection import Connection, locked
from songs_sqlite.songs import SqliteSongs
from songs_sqlite.storage import SqliteStorage
from songs_sqlite.unit import SqliteCoherence, Unit

from .maintenance import planted

REMEMBERED_S: Final = 1.0
_ANSWERS: Final[dict[Any, tuple[float, Any]]] = {}


class _Forgetful(Unit):
    def _end(self, held: Connection, *, commit: bool) -> None:
        super()._end(held, commit=commit)
        if self._scope is not Scope.READ:
            _ANSWERS.clear()


def units_of(kind: type[Unit]) -> AdapterSpec:
    """Return the descriptor of a storage with such units."""

    class Storage(SqliteStorage):
        def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
            return kind(self._opened(), scope, deadline)

    return planted(Storage)


def remembering(name: str, repository: Any, method: str) -> AdapterSpec:
    """Return a storage that remembers the answers of a method, until this process writes or a moment has passed."""

    def remembered(self: Any, *arguments: Any, **options: Any) -> Any:
        unit = self._transaction
        if unit._scope is not Scope.READ:
            return getattr(repository, method)(self, *arguments, **options)
        unit.reading()
        key = (str(unit._pool.path), repr(arguments), repr(options))
        known = _ANSWERS.get(key)
        if known is None or time.monotonic() - known[0] > REMEMBERED_S:
            known = _ANSWERS[key] = (time.monotonic(), getattr(repository, method)(self, *arguments, **options))
        return known[1]

    kind = type("Remembering", (repository,), {method: remembered})
    return units_of(type("Planted", (_Forgetful,), {name: property(kind)}))


counts_are_remembered = remembering("songs", SqliteSongs, "count")
searches_are_remembered = remembering("songs", SqliteSongs, "find")
names_are_remembered = remembering("users", SqliteUsers, "by_name")

_TURNS: Final = threading.Lock()


class _ComparesFirst(SqliteCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Compare with what was read before other processes were shut out, and set."""
        unit = cast("_OneOfThisProcess", self._transaction)
        unit.writing()
        if unit.record.epoch != expected_epoch:
            return unit.record
        columns = (expected_epoch + 1, cache_on, cache)
        unit.change("UPDATE coherence SET epoch = ?, cache_on = ?, cache = ?", columns)
        return self.read()


class _OneOfThisProcess(Unit):
    record: CoherenceRecord
    coherence = property(_ComparesFirst)

    def _begin(self) -> Connection:
        if self._scope is Scope.READ:
            return super()._begin()
        if not _TURNS.acquire(timeout=self.left_s):
            raise locked()
        try:
            with Unit(self._pool, Scope.READ, self._deadline) as reading:
                self.record = reading.coherence.read()
            time.sleep(0.02)  # in which another process writes, on a busy machine too
            return super()._begin()
        except BaseException:
            _TURNS.release()
            raise

    def _end(self, held: Connection, *, commit: bool) -> None:
        try:
            super()._end(held, commit=commit)
        finally:
            if self._scope is not Scope.READ:
                _TURNS.release()


record_is_compared_in_this_process = units_of(_OneOfThisProcess)


class _SaysSoAgain(SqliteStorage):
    def ping(self, *, deadline: Deadline) -> None:
        """Answer as a moment ago."""
        now_s = time.monotonic()
        if now_s - self.__dict__.get("answered_s", -60.0) > 5.0:
            super().ping(deadline=deadline)
            self.__dict__["answered_s"] = now_s


ping_answers_from_memory = planted(_SaysSoAgain)
