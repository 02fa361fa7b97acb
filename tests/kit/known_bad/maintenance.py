"""Storages whose maintenance is wrong, and durable storages that lose something while they are closed."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace

from songs.errors import StorageUnavailable
from songs.model import RatingStats
from songs.ports.clock import Deadline
from songs.ports.maintenance import Finding
from songs_plugins import AdapterContext, AdapterSpec
from songs_sqlite.plugin import songs_adapters
from songs_sqlite.storage import SqliteSettings, SqliteStorage

from .planting import PlantedStorage, changed, storage

(SQLITE,) = songs_adapters()


def planted(kind: type[SqliteStorage]) -> AdapterSpec:
    """Return the descriptor of a kind of SQLite storage."""

    def build(settings: SqliteSettings, context: AdapterContext) -> SqliteStorage:
        return kind(settings.file(), context.clock, connections=context.concurrency + 1)

    return changed(SQLITE, build)


def run(path: object, *statements: str) -> None:
    """Run statements on a file, behind the storage's back."""
    with closing(sqlite3.connect(str(path), isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


class _AlwaysComplains(PlantedStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Find something in everything."""
        yield Finding(what="there is something")


something_is_always_wrong = storage(_AlwaysComplains)


class _Blind(SqliteStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Find nothing."""
        yield from super().examine() if repair else ()


looking_finds_nothing = planted(_Blind)


class _Hasty(SqliteStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Mend what nobody asked to have mended."""
        for each in super().examine(repair=True):
            yield replace(each, mended=repair)


looking_mends = planted(_Hasty)


class _OnlySaysSo(SqliteStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Mend nothing, and say that it is done."""
        for each in super().examine():
            yield replace(each, mended=repair)


repairing_mends_nothing = planted(_OnlySaysSo)


class _MendsAtTheEnd(PlantedStorage):
    def lock(self, deadline: Deadline) -> None:
        """Give up early, so that the kit need not wait for its deadlines."""
        if not self._writing.acquire(timeout=min(0.1, deadline.remaining_s())):
            raise StorageUnavailable

    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Keep everybody waiting until whoever looks has seen everything."""
        self._writing.acquire(timeout=1.0)
        try:
            wrong = self.memory.get("wrong", 0)
            yield from (Finding(what="something", remedy="mend it", mended=repair) for _ in range(wrong))
            self.memory["wrong"] = 0 if repair else wrong
        finally:
            self.unlock()


def _damage(storage: PlantedStorage) -> None:
    storage.memory["wrong"] = 2


stopped_repair_keeps_the_lock = replace(storage(_MendsAtTheEnd), damages={"something": _damage})


class _SignsOut(SqliteStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Remove more than is wrong."""
        yield from super().examine(repair=repair)
        if repair:
            run(self.path, "DELETE FROM sessions")


repairing_removes_sessions = planted(_SignsOut)


class _CountsWithoutALock(SqliteStorage):
    def examine(self, *, repair: bool = False) -> Iterator[Finding]:
        """Count anew, and write it a moment later."""
        yield from super().examine(repair=repair)
        if not repair:
            return
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for n in range(4):
                rows = connection.execute("SELECT value FROM ratings WHERE song_id = ?", (f"song-{n}",)).fetchall()
                time.sleep(0.005)
                connection.execute(
                    "UPDATE stats SET n1 = ?, n2 = ?, n3 = ?, n4 = ?, n5 = ? WHERE song_id = ?",
                    (*RatingStats.of(value for (value,) in rows).distribution, f"song-{n}"),
                )


repairing_loses_ratings = planted(_CountsWithoutALock)


class _TellsNobody(SqliteStorage):
    def prepare(self) -> None:
        """Keep quiet about other folds."""
        logging.getLogger("songs_sqlite").disabled = True
        try:
            super().prepare()
        finally:
            logging.getLogger("songs_sqlite").disabled = False


other_folds_go_untold = planted(_TellsNobody)


class _FoldsAtOnce(SqliteStorage):
    def prepare(self) -> None:
        """Repair without being asked."""
        super().prepare()
        list(super().examine(repair=True))


prepare_folds_anew = planted(_FoldsAtOnce)


class _VersionsOfNothing(PlantedStorage):
    def versions(self) -> Mapping[str, str]:
        """Need not be open for that."""
        return {"schema": "1"}


closed_storage_tells_versions = storage(_VersionsOfNothing)


class _ForgetsVersions(PlantedStorage):
    def versions(self) -> Mapping[str, str]:
        """Have none."""
        self.current()
        return {}


there_are_no_versions = storage(_ForgetsVersions)


def _forgetting(*statements: str) -> AdapterSpec:
    def close(self: SqliteStorage) -> None:
        SqliteStorage.close(self)
        # The kit closes storages too that were never prepared.
        with suppress(sqlite3.OperationalError):
            run(self.path, *statements)

    members: dict[str, Callable[[SqliteStorage], None]] = {"close": close}
    return planted(type("_Forgetting", (SqliteStorage,), dict(members)))


closing_loses_users = _forgetting("DELETE FROM users")
closing_loses_sessions = _forgetting("DELETE FROM sessions")
closing_undoes_a_rotation = _forgetting(
    "UPDATE sessions SET current_hash = previous_hash WHERE previous_hash IS NOT NULL"
)
closing_forgets_keys = _forgetting("UPDATE ratings SET key = NULL")
closing_forgets_the_epoch = _forgetting("UPDATE coherence SET epoch = 1, cache_on = 1")
closing_brings_back_deleted_users = _forgetting(
    "INSERT OR IGNORE INTO users "
    "SELECT 'user-3', 'user-3', 'user-3', 'a-hash', role, 0, created_at_ms, 1, 1 FROM users LIMIT 1"
)
