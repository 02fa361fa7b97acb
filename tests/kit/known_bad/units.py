"""Storages whose units of work, or whose life, are wrong."""

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import ClassVar, Self

from songs.errors import DuplicateSong, StorageUnavailable, Unsupported
from songs.model import Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_memory.repositories import MemorySongs
from songs_memory.state import State
from songs_memory.unit import MemoryUnit
from songs_plugins import Port

from .planting import PlantedStorage, PlantedUnit, adapter, repositories, storage, unit


class _NoTurns(PlantedStorage):
    def lock(self, deadline: Deadline) -> None:
        """Let every writer in at once."""

    def unlock(self) -> None:
        """Do nothing."""

    def publish(self, before: State, after: State) -> None:
        """Overwrite what others wrote since it was read, a moment ago."""
        time.sleep(0.001)
        self._state = after


writers_read_then_write = storage(_NoTurns)


class _NoRollback(PlantedUnit):
    def end(self, *, failed: bool) -> None:
        """Commit in any case."""
        super().end(failed=False)


rollback_does_nothing = unit(_NoRollback)


class _DirtyWrites(PlantedUnit):
    def stage(self, state: State) -> None:
        """Show the write to everybody before the commit."""
        before, self._before = self._before, state
        self.__dict__.setdefault("first", before)
        if before is not None:
            self._source.publish(before, state)
        super().stage(state)

    def end(self, *, failed: bool) -> None:
        """Take back what everybody saw."""
        if failed and self._before is not None and "first" in self.__dict__:
            self._source.publish(self._before, self.__dict__["first"])
        super().end(failed=failed)


dirty_reads = unit(_DirtyWrites)


class _EachWriteAlone(MemoryUnit):
    def stage(self, state: State) -> None:
        """Commit each write of a transaction as it comes."""
        before, self._before = self._before, state
        if before is not None:
            self._source.publish(before, state)
        super().stage(state)


transaction_commits_each_write = unit(_EachWriteAlone)


class _Swallows(PlantedStorage):
    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Lose the exception that leaves the block."""
        with suppress(Exception), super().unit_of_work(scope, deadline=deadline) as found:
            yield found


exception_is_swallowed = storage(_Swallows)


class _ReadWrites(MemoryUnit):
    def __init__(self, *arguments: object) -> None:
        source, scope, deadline = arguments
        super().__init__(source, Scope.WRITE_ONE if scope is Scope.READ else scope, deadline)  # type: ignore[arg-type]


read_unit_writes = unit(_ReadWrites)


class _KeepsTheLock(PlantedUnit):
    def end(self, *, failed: bool) -> None:
        """Free nothing after an exception."""
        if not failed:
            super().end(failed=failed)


class _Impatient(PlantedStorage):
    unit = _KeepsTheLock

    def lock(self, deadline: Deadline) -> None:
        """Give up early, so that the kit need not wait for its deadlines."""
        if not self._writing.acquire(timeout=min(0.1, deadline.remaining_s())):
            raise StorageUnavailable


lock_is_kept_after_an_exception = storage(_Impatient)


class _OutlivesItsBlock(PlantedUnit):
    def end(self, *, failed: bool) -> None:
        """Leave the repositories with the state."""
        state = self._held
        super().end(failed=failed)
        self._held = state


repositories_outlive_their_unit = unit(_OutlivesItsBlock)


class _NoSnapshot(MemoryUnit):
    def reading(self) -> State:
        """Return what is committed now, where others wrote since the unit began."""
        found = super().reading()
        return self._source.current() if self._scope is Scope.READ else found


read_unit_sees_later_commits = unit(_NoSnapshot)


class _Lags(PlantedStorage):
    def publish(self, before: State, after: State) -> None:
        """Leave readers with the state before."""
        super().publish(before, after)
        self.memory["stale"] = before

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Give readers what they are left with."""
        with super().unit_of_work(scope, deadline=deadline) as found:
            if scope is Scope.READ:
                found._held = self.memory.get("stale", found._held)
            yield found


readers_lag_behind = storage(_Lags)


class _HalfWrite(PlantedUnit):
    def __enter__(self) -> Self:
        """Offer no transactions."""
        if self._scope is Scope.WRITE_MANY:
            raise Unsupported
        return super().__enter__()

    def end(self, *, failed: bool) -> None:
        """Keep a part of what was written before the exception."""
        before, after = self._before, self._held
        if failed and before is not None and after is not None and before is not after:
            self._held = replace(after, ratings=before.ratings)
        super().end(failed=False)


half_a_write_is_kept = unit(_HalfWrite, transactions=False)


class _OpensItself(PlantedStorage):
    def __init__(self) -> None:
        super().__init__()
        self.open()


opens_when_built = storage(_OpensItself)


class _Wipes(PlantedStorage):
    def prepare(self) -> None:
        """Create everything anew."""
        self._state = None
        self.open()


prepare_wipes = storage(_Wipes)


class _ClosesOnce(PlantedStorage):
    def close(self) -> None:
        """Object to a second call."""
        self.current()
        super().close()


close_cannot_be_repeated = storage(_ClosesOnce)


class _AlwaysWell(PlantedStorage):
    def ping(self, *, deadline: Deadline) -> None:
        """Ask nobody."""


ping_asks_nobody = storage(_AlwaysWell)


class _LeaksTheDriver(MemorySongs):
    def add(self, song: Song) -> None:
        """Raise what the driver raised."""
        try:
            super().add(song)
        except DuplicateSong:
            raise KeyError(song.id) from None


driver_error_leaks = repositories(songs=_LeaksTheDriver)


class _WaitsForEver(PlantedStorage):
    def lock(self, deadline: Deadline) -> None:
        """Wait without a deadline."""
        self._writing.acquire()


writer_waits_without_a_deadline = storage(_WaitsForEver)


class _NoRetry(PlantedStorage):
    def lock(self, deadline: Deadline) -> None:
        """Call a conflict an outage."""
        if not self._writing.acquire(blocking=False):
            raise StorageUnavailable
        time.sleep(0.002)


conflict_is_called_an_outage = storage(_NoRetry)

durable_in_name_only = storage(PlantedStorage, durable=True)
shared_in_name_only = storage(PlantedStorage, shared=True)
descriptor_declares_nothing = adapter(Port.STORAGE, PlantedStorage)
open_storage_declares_more = adapter(
    Port.STORAGE, PlantedStorage, replace(PlantedStorage.capabilities, transactions=False)
)


class _DeclaresNothing(PlantedStorage):
    capabilities = None  # type: ignore[assignment]


open_storage_declares_nothing = adapter(Port.STORAGE, _DeclaresNothing, PlantedStorage.capabilities)


class _GoesOn(PlantedStorage):
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> MemoryUnit:
        """Give every unit a quarter of an hour more."""
        return super().unit_of_work(scope, deadline=Deadline(deadline._clock, deadline.at_s + 900.0))


late_unit_goes_on = storage(_GoesOn)


class _NoTables(PlantedStorage):
    prepared = False

    def prepare(self) -> None:
        """Make what units need."""
        super().prepare()
        self.prepared = True

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> MemoryUnit:
        """Miss it, in the words of the driver."""
        if not self.prepared:
            raise LookupError("no such table: songs")
        return super().unit_of_work(scope, deadline=deadline)


unprepared_is_a_driver_error = storage(_NoTables)


class _KeepsAThread(PlantedStorage):
    def open(self) -> None:
        """Start what nothing ends."""
        super().open()
        threading.Thread(target=threading.Event().wait, args=(60.0,), daemon=True).start()


close_leaves_a_thread = storage(_KeepsAThread)


class _KeepsAFile(PlantedStorage):
    kept: ClassVar[list[object]] = []

    def close(self) -> None:
        """Leave a file open."""
        super().close()
        self.kept.append(os.dup(0))


close_leaves_a_file = storage(_KeepsAFile)


class _HangsUp(PlantedStorage):
    """Has a connection, which whoever closes the storage ends for all that have it."""

    def open(self) -> None:
        """Connect."""
        super().open()
        if "ends" not in self.memory:
            self.memory["ends"] = socket.socketpair()

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> MemoryUnit:
        """Look whether the other end is still there."""
        self.current()
        if select.select([self.memory["ends"][0]], [], [], 0)[0]:
            raise StorageUnavailable("the connection was closed")
        return super().unit_of_work(scope, deadline=deadline)

    def close(self) -> None:
        """Say goodbye to the other end."""
        super().close()
        for end in self.memory.pop("ends", ()):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


child_hangs_up_for_its_parent = storage(_HangsUp)


class _Grouping(PlantedStorage):
    """Has writers that wait for each other in one group, and remembers the state before its last unit."""

    def lock(self, deadline: Deadline) -> None:
        """Note whether the writer had to wait."""
        waited = self._writing.locked()
        super().lock(deadline)
        self.memory["joined"] = waited

    def publish(self, before: State, after: State) -> None:
        """Note what was there before."""
        super().publish(before, after)
        self.memory["before"] = before
        time.sleep(0.001)  # so that others wait


class _TakesOthersAlong(PlantedUnit):
    def end(self, *, failed: bool) -> None:
        """Undo what the unit before wrote too, if it is of the same group."""
        memory = self._source.memory  # type: ignore[attr-defined]
        if failed and self._scope is not Scope.READ and memory.pop("joined", False) and "before" in memory:
            self._source.publish(self._source.current(), memory.pop("before"))
        super().end(failed=failed)


class _TakingOthersAlong(_Grouping):
    unit = _TakesOthersAlong


failed_unit_takes_others_along = storage(_TakingOthersAlong)


class _SeenByItsGroup(MemorySongs):
    def add(self, song: Song) -> None:
        """Refuse a song because of one that a failed unit of the group had added."""
        memory = self._view._source.memory  # type: ignore[attr-defined]
        if memory["joined"] and memory.pop("undone", None) == song.identity:
            raise DuplicateSong
        super().add(song)
        memory["added"] = song.identity


class _Undone(PlantedUnit):
    @property
    def songs(self) -> MemorySongs:
        """The songs, as its group sees them."""
        return _SeenByItsGroup(self)

    def end(self, *, failed: bool) -> None:
        """Leave to the next what is undone."""
        memory = self._source.memory  # type: ignore[attr-defined]
        if self._scope is not Scope.READ:
            memory["undone"] = memory.pop("added", None) if failed else None
        super().end(failed=failed)


class _Undoing(_Grouping):
    unit = _Undone


duplicate_of_what_was_undone = storage(_Undoing)
