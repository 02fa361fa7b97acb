"""Not defects, but for those that hang or wait: adapters that the kit itself must be able to deal with."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from songs.errors import OutcomeUnknown, StorageUnavailable, Unsupported
from songs.model import Rating, Song
from songs.ports.clock import Deadline
from songs.ports.ratings import RatingReceipt
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.models.samples import rating
from songs_memory.repositories import MemorySongs
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterSpec, NoSettings, Port
from songs_sqlite.ratings import SqliteRatings
from songs_sqlite.storage import SqliteStorage
from songs_sqlite.unit import Unit

from . import counting_caches
from .maintenance import planted
from .planting import PlantedStorage, adapter, memory_of, repositories, storage


class _OnALesserServer(PlantedStorage):
    """Has transactions with some servers, and finds out that this one has none."""

    capabilities = replace(MemoryStorage.capabilities, transactions=False)

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Refuse what this server cannot do."""
        if scope is Scope.WRITE_MANY:
            raise Unsupported
        with super().unit_of_work(scope, deadline=deadline) as unit:
            yield unit


declares_less_once_open = adapter(Port.STORAGE, _OnALesserServer, MemoryStorage.capabilities)


class _Hangs(PlantedStorage):
    def ping(self, *, deadline: Deadline) -> None:
        """Never answer."""
        time.sleep(1000)


hangs = storage(_Hangs)


class _HangsWhenOpened(PlantedStorage):
    def open(self) -> None:
        """Never return."""
        time.sleep(1000)


hangs_when_opened = storage(_HangsWhenOpened)


class _HangsWhenItDeletes(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Wait for ever for a song that is there."""
        deleted = super().delete(song_id, if_version=if_version)
        if deleted:
            time.sleep(1000)
        return deleted


hangs_when_it_deletes = repositories(songs=_HangsWhenItDeletes)


class _CannotSay(PlantedStorage):
    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Lose the connection to a server that was asked to write, and is busy with another's write."""
        try:
            with super().unit_of_work(scope, deadline=deadline) as unit:
                yield unit
        except StorageUnavailable as error:
            raise OutcomeUnknown from error


cannot_say_whether_it_wrote = storage(_CannotSay)


@pytest.fixture
def from_a_fixture() -> Iterator[AdapterSpec]:
    """Yield the descriptor of a storage, and note the end."""
    yield storage(PlantedStorage)
    Path("ended").touch()


@pytest.fixture
def with_arguments(tmp_path: Path) -> AdapterSpec:
    """Return what the kit has no arguments for."""
    return storage(PlantedStorage)


class _OneAtATime(PlantedStorage):
    """Lets no unit begin while another is open."""

    capabilities = replace(MemoryStorage.capabilities, snapshot_reads=False)

    @contextmanager
    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Iterator[UnitOfWork]:  # type: ignore[override]
        """Wait for the turn."""
        turn = self.memory.setdefault("turn", threading.Lock())
        if not turn.acquire(timeout=deadline.remaining_s()):
            raise StorageUnavailable
        try:
            with super().unit_of_work(scope, deadline=deadline) as unit:
                yield unit
        finally:
            turn.release()


one_unit_at_a_time = storage(_OneAtATime)


@contextmanager
def _no_server(folder: Path) -> Iterator[NoSettings]:
    """Find no server."""
    raise RuntimeError("there is no server to test with: set ACME_TEST_URL")
    yield NoSettings()


has_no_sandbox = replace(storage(PlantedStorage), sandbox=_no_server)


counts_without_a_limiter = counting_caches.right[0]


class _SentRatings(SqliteRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Send the write to a server, which takes its time."""
        sent = cast("_SentUnit", self._transaction).sent
        # Whole or not at all: the process may be killed at any moment.
        half = sent.with_suffix(".half")
        half.write_text(json.dumps([os.getpid(), rating.id, rating.value, rating.key]), encoding="utf-8")
        half.replace(sent)
        time.sleep(0.02)
        receipt = super().add(rating)
        sent.unlink()
        return receipt


class _SentUnit(Unit):
    sent: Path

    @property
    def ratings(self) -> SqliteRatings:
        """The ratings."""
        return _SentRatings(self)


class _GoesOn(SqliteStorage):
    """Like a server that goes on with what it was sent by a process that has died: others see it a moment later."""

    _reads = 0

    def unit_of_work(self, scope: Scope, *, deadline: Deadline) -> Unit:
        """Return a unit; before the second one, write what a process that has died had sent."""
        sent = self.path.with_suffix(".sent")
        order = json.loads(sent.read_text(encoding="utf-8")) if sent.exists() else None
        if order is not None and order[0] != os.getpid():
            self._reads += 1
            if self._reads % 2 == 0:
                _, rating_id, value, key = order
                with super().unit_of_work(Scope.WRITE_ONE, deadline=deadline) as unit:
                    unit.ratings.add(rating(rating_id, value=value, key=key))
                sent.unlink()
        unit = _SentUnit(self._opened(), scope, deadline)
        unit.sent = sent
        return unit


goes_on_with_what_it_was_sent = planted(_GoesOn)


class _WrongOnce(MemorySongs):
    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Find nothing, the first time that a text finds something."""
        found = super().find(song_filter, limit=limit, after_id=after_id, offset=offset)
        if song_filter.text is None or not found or memory_of(self._view):
            return found
        memory_of(self._view)["wrong"] = True
        return ()


wrong_once = repositories(songs=_WrongOnce)
