"""Errors below the storage: damaged records, lost files, statements that fail, time that runs out."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.own_time import Stopwatch

from songs.errors import (
    DeadlineExceeded,
    InvalidInput,
    OutcomeUnknown,
    ScopeViolation,
    SongsError,
    StorageDamaged,
    StorageMismatch,
    StorageUnavailable,
    TransientConflict,
)
from songs.model import Rating, Song, SongIdentity
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_sqlite import SqliteStorage
from songs_sqlite.connection import translated, translated_commit
from songs_sqlite.unit import Unit

At = Callable[[float], Deadline]
Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
ENDLESS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("planted")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "PLANTED"
    return error


def test_a_coherence_record_that_is_gone(storage: SqliteStorage, path: Path, deadline: At) -> None:
    """As in a database that is being restored: what a service answers with 503, and no defect."""
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM coherence")
    connection.close()
    with pytest.raises(StorageMismatch, match="coherence record"):
        storage.ping(deadline=deadline(1))


def test_an_identity_that_is_gone(storage: SqliteStorage, path: Path) -> None:
    """Whoever asks for it is told, by an error of the port; the storage goes on."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM meta")
    with pytest.raises(StorageMismatch, match="identity"):
        storage.identity()
    storage.prepare()


@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE_MANY])
def test_a_statement_that_runs_too_long_is_interrupted(
    storage: SqliteStorage, deadline: At, song: Callable[..., Song], unit: Units, scope: Scope
) -> None:
    """A statement ends with the deadline, its unit keeps nothing, and the storage goes on."""
    stopwatch = Stopwatch()
    with (  # noqa: PT012 - only the last statement takes long
        pytest.raises(DeadlineExceeded) as raised,
        storage.unit_of_work(scope, deadline=deadline(0.3)) as late,
    ):
        if scope is Scope.WRITE_MANY:
            late.songs.add(song("S1"))
        assert isinstance(late, Unit)
        late.rows(ENDLESS)
    assert stopwatch.took_s < 0.8
    assert isinstance(raised.value.__cause__, sqlite3.OperationalError)
    with unit(Scope.READ) as after:
        assert after.songs.get("S1") is None


def test_a_unit_whose_time_is_up_starts_nothing(storage: SqliteStorage, deadline: At) -> None:
    """A deadline that has passed is refused on entering."""
    with pytest.raises(DeadlineExceeded), storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0)):
        pytest.fail("entered")


def test_an_error_that_the_block_swallows_keeps_the_unit_from_committing(
    storage: SqliteStorage, song: Callable[..., Song], unit: Units
) -> None:
    """After an error of the driver the unit answers nothing but that error, and keeps nothing, even on a clean end."""
    with pytest.raises(StorageMismatch), unit(Scope.WRITE_MANY) as broken:  # noqa: PT012 - the end of the block is what raises
        broken.songs.add(song("S1"))
        assert isinstance(broken, Unit)
        with suppress(SongsError):
            broken.change("INSERT INTO nowhere VALUES (1)")
        with suppress(SongsError):
            broken.songs.add(song("S2"))
    with unit(Scope.READ) as after:
        assert after.songs.count(SongFilter()) == 0


def test_a_write_in_parts_that_is_cut_short_is_not_kept(
    storage: SqliteStorage, song: Callable[..., Song], rating: Callable[..., Rating], unit: Units
) -> None:
    """A rating whose event was stored and whose count failed leaves neither, though the block swallowed the error."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    breaker = sqlite3.connect(storage.path)
    breaker.execute("CREATE TRIGGER broken BEFORE UPDATE ON stats BEGIN SELECT raise(ABORT, 'planted'); END")
    with pytest.raises(StorageUnavailable), unit(Scope.WRITE_MANY) as broken, suppress(SongsError):
        broken.ratings.add(rating("R1", "S1"))
    breaker.execute("DROP TRIGGER broken")
    breaker.close()
    with unit(Scope.READ) as after:
        assert after.ratings.of_song("S1", limit=9) == ()


def test_a_deadline_between_two_statements_undoes_the_write(
    storage: SqliteStorage, song: Callable[..., Song], rating: Callable[..., Rating], unit: Units
) -> None:
    """Whenever the time runs out, and though the block swallows the error, event and count are kept both or neither."""
    with unit(Scope.WRITE_ONE) as before:
        before.songs.add(song("S1"))
    kept = set()
    for looks in range(30):
        late = storage.unit_of_work(Scope.WRITE_MANY, deadline=Deadline(_Expiring(looks), 5))
        with suppress(DeadlineExceeded, StorageUnavailable), late, suppress(DeadlineExceeded):
            late.ratings.add(rating(f"R{looks}", "S1"))
        with unit(Scope.READ) as after:
            stats, events = after.ratings.stats("S1"), after.ratings.of_song("S1", limit=99)
        assert stats is not None
        assert stats.count == len(events)
        kept.add(stats.count)
    assert len(kept) > 1


def test_a_lost_file_is_noticed(storage: SqliteStorage, path: Path, deadline: At, song: Callable[..., Song]) -> None:
    """When the file was replaced, a write raises and does not go to a file that nobody can find."""
    path.rename(path.with_name("moved.db"))
    path.touch()
    with (
        pytest.raises(StorageUnavailable, match="removed or replaced"),
        storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(1)),
    ):
        pytest.fail("entered")
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        storage.ping(deadline=deadline(1))


def test_texts_that_cannot_be_stored_are_not_found(storage: SqliteStorage, song: Callable[..., Song]) -> None:
    """Lone surrogates, NULs and numbers without bounds in what is asked for are answers, not errors of the driver."""
    odd = "\ud800\0"
    with storage.unit_of_work(Scope.READ, deadline=Deadline.after(_Still(), 5)) as unit:
        assert unit.songs.get(odd) is None
        assert unit.ratings.stats(odd) is None
        assert unit.ratings.of_song("S1", limit=2**70, after_id=odd) == ()
        assert unit.users.by_name(odd) is None
        assert unit.sessions.get(odd) is None
        for text in (odd, "\ud800abc", "a\0bc", "\0"):
            assert unit.songs.find(SongFilter(text=text), limit=2**70, offset=2**70, after_id=odd) == ()
            assert unit.songs.count(SongFilter(text=text, level=2**70)) == 0
        assert unit.songs.difficulty_totals(2**70).count == 0
        assert unit.songs.identify([SongIdentity(odd, odd, song("S1").released)]) == {}
    with (  # noqa: PT012 - the first statement shows that the unit was usable
        pytest.raises(InvalidInput),
        storage.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(_Still(), 5)) as unit,
    ):
        unit.sessions.delete_expired(at=_Still().now(), limit=1)
        assert isinstance(unit, Unit)
        unit.change("DELETE FROM users WHERE id = ?", (odd,))


def test_a_unit_is_good_for_one_block_of_one_thread(
    storage: SqliteStorage, deadline: At, song: Callable[..., Song]
) -> None:
    """Entering twice, a second write in WRITE_ONE, use after the block and in another thread are defects."""
    unit = storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5))
    with unit:
        unit.songs.add(song("S1"))
        with pytest.raises(ScopeViolation, match="second write"):
            unit.songs.add(song("S2"))
        found: list[BaseException] = []

        def elsewhere() -> None:
            try:
                unit.songs.get("S1")
            except ScopeViolation as error:
                found.append(error)

        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
        assert len(found) == 1
    with pytest.raises(ScopeViolation):
        unit.songs.get("S1")
    with pytest.raises(ScopeViolation), unit:
        pytest.fail("entered")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, StorageUnavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, TransientConflict),
        (sqlite3.SQLITE_LOCKED, StorageUnavailable),
        (sqlite3.SQLITE_INTERRUPT, DeadlineExceeded),
        (sqlite3.SQLITE_FULL, StorageUnavailable),
        (sqlite3.SQLITE_READONLY_DBMOVED, StorageUnavailable),
        (sqlite3.SQLITE_IOERR_READ, StorageUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StorageUnavailable),
        (sqlite3.SQLITE_CORRUPT_VTAB, StorageDamaged),
        (3091, StorageDamaged),  # SQLITE_CONSTRAINT_DATATYPE
        (sqlite3.SQLITE_NOTADB, StorageMismatch),
        (sqlite3.SQLITE_MISUSE, StorageUnavailable),
        (0, StorageUnavailable),
    ],
)
def test_errors_of_statements_are_translated(code: int, expected: type[SongsError]) -> None:
    """Each result code becomes one error of the port."""
    assert type(translated(_error(code))) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, StorageUnavailable),
        (sqlite3.SQLITE_FULL, StorageUnavailable),
        (sqlite3.SQLITE_IOERR_WRITE, StorageUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown),
        (sqlite3.SQLITE_IOERR_SHMSIZE, OutcomeUnknown),
        (sqlite3.SQLITE_NOMEM, OutcomeUnknown),
    ],
)
def test_errors_of_commits_say_whether_anything_may_be_kept(code: int, expected: type[SongsError]) -> None:
    """Once the mark of the commit may be in the log, its outcome is unknown."""
    assert type(translated_commit(_error(code))) is expected


class _Still:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return 0.0

    def sleep(self, duration_s: float) -> None:
        raise AssertionError


class _Expiring(_Still):
    """A clock that stands still until it was looked at so many times, and then jumps."""

    def __init__(self, looks: int) -> None:
        self._looks = looks

    def monotonic_s(self) -> float:
        self._looks -= 1
        return 0.0 if self._looks >= 0 else 100.0
