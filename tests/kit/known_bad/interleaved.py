"""Storages whose units see, keep or end what belongs to others."""

import os
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Self, cast

from songs.errors import DuplicateSong, StorageUnavailable, Unsupported, UserExists
from songs.model import Session, Song, User
from songs.ports.clock import Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.storage import Scope
from songs_memory.repositories import MemoryCoherence, MemorySessions, MemorySongs, MemoryUsers
from songs_memory.state import State
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterSpec

from .planting import PlantedStorage, PlantedUnit, memory_of, repositories, storage, unit


class _Live:
    """The view of a repository that reads what is committed, whatever its unit sees."""

    def __init__(self, view: Any) -> None:
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def reading(self) -> State:
        """Return what is committed now."""
        self._view.reading()
        return cast("State", self._view._source.current())


def reading_live(name: str, scope: Scope) -> AdapterSpec:
    """Return a storage in which one repository reads what is committed, in units of a scope."""
    usual: dict[str, Any] = {"users": MemoryUsers, "sessions": MemorySessions, "coherence": MemoryCoherence}

    def begin(self: Any, view: Any) -> None:
        usual[name].__init__(self, _Live(view) if view._scope is scope else view)

    return repositories(**{name: type("Repository", (usual[name],), {"__init__": begin})})


users_have_no_snapshot = reading_live("users", Scope.READ)
sessions_have_no_snapshot = reading_live("sessions", Scope.READ)
record_has_no_snapshot = reading_live("coherence", Scope.READ)
transaction_sees_old_users = reading_live("users", Scope.WRITE_MANY)
transaction_sees_an_old_record = reading_live("coherence", Scope.WRITE_MANY)


class _ShowsDirt(MemorySessions):
    def get(self, session_id: str) -> Session | None:
        """Find what an open transaction has written."""
        dirty = memory_of(self._view).get("dirty")
        return super().get(session_id) or (dirty and dirty.sessions.rows.get(session_id))


class _Dirty(MemoryUnit):
    sessions = property(_ShowsDirt)

    def stage(self, state: State) -> None:
        """Leave a write where others look."""
        super().stage(state)
        cast("PlantedStorage", self._source).memory["dirty"] = state

    def _end(self, held: State, *, commit: bool) -> None:
        if self._scope is not Scope.READ:
            cast("PlantedStorage", self._source).memory.clear()
        super()._end(held, commit=commit)


sessions_are_dirty = unit(_Dirty)


class _NamesBeside(MemoryUsers):
    def add(self, user: User) -> None:
        """Keep names in a place of its own, which no rollback reaches."""
        names = memory_of(self._view)
        if names.get(user.name_key, user.id) != user.id and self.by_name(user.name) is None:
            self._view.writing()
            raise UserExists
        super().add(user)
        names[user.name_key] = user.id

    def delete(self, user_id: str) -> bool:
        """Free the name."""
        found = self.get(user_id)
        if found is not None:
            memory_of(self._view).pop(found.name_key, None)
        return super().delete(user_id)


rollback_leaves_the_name_taken = repositories(users=_NamesBeside)


class _Unlocked(MemoryUnit):
    """A unit that waits for others when it writes, and not before."""

    _locked = False

    def __enter__(self) -> Self:
        if self._scope is Scope.WRITE_MANY:
            raise Unsupported
        return super().__enter__()

    def writing(self) -> State:
        """Go on from what is committed by now."""
        super().writing()
        self._source.lock(self._deadline)
        self._locked = True
        self._before = self._held = self._source.current()
        return self._held

    def _begin(self) -> State:
        return self._source.current()

    def _end(self, held: State, *, commit: bool) -> None:
        if self._locked:
            super()._end(held, commit=commit)


class _ReadBefore(MemorySongs):
    __slots__ = ("_known",)

    def get(self, song_id: str) -> Song | None:
        """Remember what the unit read."""
        self._known = super().get(song_id)
        return self._known

    def replace(self, song: Song, *, if_version: int) -> None:
        """Compare the version with that."""
        known = getattr(self, "_known", None)
        if known is not None and known.id == song.id and known.version == if_version:
            now = cast("MemoryUnit", self._view)._source.current().songs.get(song.id)
            if_version = if_version if now is None else now.version
        super().replace(song, if_version=if_version)


class _ComparesBefore(_Unlocked):
    def __init__(self, source: Any, scope: Scope, deadline: Deadline) -> None:
        super().__init__(source, scope, deadline)
        self._songs = _ReadBefore(self)


version_is_that_of_the_first_read = unit(_ComparesBefore, transactions=False)


class _RecordBefore(MemoryCoherence):
    def read(self) -> CoherenceRecord:
        """Remember what the unit read."""
        found = super().read()
        self._view.__dict__["record"] = found
        return found

    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Compare the epoch with that."""
        known = self._view.__dict__.get("record")
        if known is None or known.epoch != expected_epoch:
            return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache)
        record = CoherenceRecord(expected_epoch + 1, cache_on, cache)
        self._view.stage(replace(self._view.writing(), coherence=record))
        return record


class _AdvancesBefore(_Unlocked):
    coherence = property(_RecordBefore)


epoch_is_that_of_the_first_read = unit(_AdvancesBefore, transactions=False)


class _OfThread(PlantedUnit):
    """A unit that its thread finds again."""

    latest: ClassVar[threading.local] = threading.local()

    def __enter__(self) -> Self:
        self.__dict__["around"] = getattr(self.latest, "unit", None)
        super().__enter__()
        self.latest.unit = self
        return self

    def end(self, *, failed: bool) -> None:
        """Be the unit around this one again."""
        self.latest.unit = self.__dict__["around"]
        super().end(failed=failed)


class _SharesAConnection(_OfThread):
    def __enter__(self) -> Self:
        super().__enter__()
        around = self.__dict__["around"]
        if self._scope is Scope.READ and around is not None and around._held is not None:
            self._held = around._held
        return self


inner_unit_sees_the_outer_one = unit(_SharesAConnection)


class _Refuses(_OfThread):
    def __enter__(self) -> Self:
        if getattr(self.latest, "unit", None) is not None:
            raise RuntimeError
        return super().__enter__()


thread_has_one_unit = unit(_Refuses)


class _TakesTurns(PlantedStorage):
    def ping(self, *, deadline: Deadline) -> None:
        """Wait for the writers."""
        self.lock(deadline)
        self.unlock()


ping_waits_for_writers = storage(_TakesTurns)


class _WaitsForAll(PlantedStorage):
    def close(self) -> None:
        """Wait for units, however long they last."""
        with self._writing:
            super().close()


close_waits_for_units = storage(_WaitsForAll)


class _Translates(MemoryUnit):
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        if isinstance(error, OSError | LookupError):
            raise StorageUnavailable from error


errors_of_the_caller_are_translated = unit(_Translates)


class _EndsIteration(MemoryUnit):
    def __exit__(  # type: ignore[override]
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Take the end of an iteration for that of the block."""
        ended = isinstance(error, StopIteration)
        super().__exit__(None if ended else kind, None if ended else error, traceback)
        return ended


stop_iteration_ends_the_block = unit(_EndsIteration)


class _WritesAgain(MemoryUnit):
    def writing(self) -> State:
        """Count no writes."""
        self._wrote = False
        return super().writing()


unit_of_one_write_takes_two = unit(_WritesAgain)


class _EntersAgain(MemoryUnit):
    def __enter__(self) -> Self:
        self._thread = 0
        return super().__enter__()


unit_is_entered_twice = unit(_EntersAgain)


class _WritesLate(MemoryUnit):
    def writing(self) -> State:
        """Look at no clock."""
        self._deadline = self._deadline.later(3600.0)
        return super().writing()


late_write_is_kept = unit(_WritesLate)


class _LeaksDescriptors(MemoryUnit):
    def __enter__(self) -> Self:
        read, write = os.pipe()
        super().__enter__()
        os.close(read)
        os.close(write)
        return self


late_unit_leaves_a_descriptor = unit(_LeaksDescriptors)


class _LeaksThreads(MemorySongs):
    def add(self, song: Song) -> None:
        """Leave somebody waiting for a song that was refused."""
        try:
            super().add(song)
        except DuplicateSong:
            threading.Thread(target=threading.Event().wait, name="a waiter", daemon=True).start()
            raise


refused_song_leaves_a_thread = repositories(songs=_LeaksThreads)
