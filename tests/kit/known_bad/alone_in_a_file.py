"""Storages in a file that break one clause, in a way that shows under no other."""

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, cast

from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_sqlite.storage import SqliteStorage
from songs_sqlite.unit import SqliteCoherence, Unit

from .maintenance import planted, run


class _OncePerObject(SqliteCoherence):
    def read(self) -> CoherenceRecord:
        """Know, in a READ unit, what this storage object read or wrote last."""
        unit = cast("_UnitOf", self._transaction)
        known = unit.storage.__dict__
        return cast("CoherenceRecord", known.setdefault("record", super().read())) if unit.reads else super().read()

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Forget what it was."""
        cast("_UnitOf", self._transaction).storage.__dict__.pop("record", None)
        return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache)


class _UnitOf(Unit):
    storage: SqliteStorage
    reads: bool

    @property
    def coherence(self) -> SqliteCoherence:
        """The coherence record."""
        return _OncePerObject(self)


class _Knowing(SqliteStorage):
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        """Return a unit that knows this object."""
        unit = _UnitOf(self._opened(), scope, deadline)
        unit.storage, unit.reads = self, scope is Scope.READ
        return unit


each_object_knows_a_record = planted(_Knowing)

_UNWRITTEN: Final[dict[Path, CoherenceRecord]] = {}


class _WritesLater(SqliteCoherence):
    def read(self) -> CoherenceRecord:
        """Return what will be written."""
        unit = cast("_LateUnit", self._transaction)
        return unit.wished or _UNWRITTEN.get(unit._pool.path) or super().read()

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Keep it in memory."""
        self._transaction.writing()
        if self.read().epoch == expected_epoch:
            cast("_LateUnit", self._transaction).wished = CoherenceRecord(expected_epoch + 1, cache_on, cache)
        return self.read()


class _LateUnit(Unit):
    wished: CoherenceRecord | None = None

    @property
    def coherence(self) -> SqliteCoherence:
        """The coherence record."""
        return _WritesLater(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the record in memory until somebody closes."""
        super().__exit__(kind, error, at)
        if kind is None and self.wished is not None:
            _UNWRITTEN[self._pool.path] = self.wished


class _Late(SqliteStorage):
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        """Return a unit that writes the record later."""
        return _LateUnit(self._opened(), scope, deadline)

    def close(self) -> None:
        """Write what was not written."""
        super().close()
        record = _UNWRITTEN.pop(self.path, None)
        if record is not None:
            columns = f"epoch = {record.epoch}, cache_on = {int(record.cache_on)}, cache = '{record.cache}'"
            run(self.path, f"UPDATE coherence SET {columns}")  # noqa: S608


record_is_written_when_closing = planted(_Late)


class _LeavesTheDoorOpen(SqliteStorage):
    capabilities = replace(SqliteStorage.capabilities, shared=False)  # type: ignore[misc]


second_opener_is_let_in = replace(planted(_LeavesTheDoorOpen), capabilities=_LeavesTheDoorOpen.capabilities)
