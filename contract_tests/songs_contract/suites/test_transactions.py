"""Units of work in which something goes wrong, or goes on."""

from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress

import pytest

from songs.errors import (
    DeadlineExceeded,
    DuplicateSong,
    KeyReused,
    OutcomeUnknown,
    ScopeViolation,
    SongNotFound,
    SongsError,
    StorageUnavailable,
    TransientConflict,
    UserExists,
    VersionConflict,
)
from songs.model import DifficultyTotals
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_contract.models.samples import EVERYTHING, next_version, rating, song, user
from songs_plugins import Port

PORT = Port.STORAGE

REFUSALS: dict[tuple[str, str], tuple[type[SongsError], Callable[[UnitOfWork], object]]] = {
    ("a second identity", "SNG-3"): (DuplicateSong, lambda unit: unit.songs.add(song("song-9", title="Title song-1"))),
    ("another version", "SNG-6"): (
        VersionConflict,
        lambda unit: unit.songs.replace(next_version(song(version=4)), if_version=4),
    ),
    ("a version to delete", "SNG-8"): (VersionConflict, lambda unit: unit.songs.delete("song-1", if_version=7)),
    ("no song", "RAT-2"): (SongNotFound, lambda unit: unit.ratings.add(rating("rating-9", song_id="song-9"))),
    ("a used key", "RAT-4"): (KeyReused, lambda unit: unit.ratings.add(rating("rating-9", value=1, key="key"))),
    ("a taken name", "USR-2"): (UserExists, lambda unit: unit.users.add(user("user-9", name="USER-1"))),
}


@pytest.fixture
def filled(use: StorageUser) -> StorageUser:
    """One song with a rating under a key, and a user."""
    use.add_songs(song())
    use.rate(rating(key="key"))
    use.add_users(user())
    return use


class OwnError(BaseException):
    """What no storage has heard of."""


LEAVING: tuple[type[BaseException], ...] = (
    *(KeyboardInterrupt, SystemExit, GeneratorExit, CancelledError, StopIteration, StopAsyncIteration, OwnError),
    *(OSError, TimeoutError, ConnectionError, KeyError, IndexError, ValueError, TypeError, RuntimeError),
    *(AttributeError, AssertionError, RecursionError, MemoryError, UnicodeError),
    *(SongNotFound, DuplicateSong, TransientConflict, StorageUnavailable, OutcomeUnknown, DeadlineExceeded),
)
"""What may leave the block of a unit, raised by the caller: interrupts, what a driver raises too, and refusals."""


@clause("STO-4")
@pytest.mark.parametrize("writes", [False, True], ids=["reading", "writing"])
def test_exceptions_of_the_caller(filled: StorageUser, writes: bool) -> None:  # noqa: FBT001 - a parameter
    """Whatever leaves a unit's block leaves it as it is, and the unit frees what it took."""
    for n, kind in enumerate(LEAVING):
        leaving = kind()

        def work(unit: UnitOfWork, n: int = n, leaving: BaseException = leaving) -> None:
            if writes:
                unit.songs.add(song(f"song-{n}-of-an-error"))
            else:
                unit.songs.get("song-1")
            raise leaving

        with pytest.raises(kind) as caught:
            (filled.write if writes else filled.read)(work)
        assert caught.value is leaving, f"{kind.__name__} became {caught.value!r}"
        assert leaving.__cause__ is None, f"{kind.__name__} was given a cause"
    filled.add_songs(song("song-3"))
    assert filled.song("song-3") == song("song-3")


@clause("STO-4", "STO-7")
@requires("transactions")
def test_exceptions_of_the_caller_roll_back(filled: StorageUser) -> None:
    """Nothing of a transaction is kept that was left by any exception, and what it took is free again."""
    for kind in LEAVING:
        leaving = kind()

        def work(unit: UnitOfWork, leaving: BaseException = leaving) -> None:
            unit.songs.add(song("song-2"))
            unit.ratings.add(rating("rating-2", key="key-2"))
            unit.users.add(user("user-2", name="Ada"))
            raise leaving

        with pytest.raises(kind) as caught:
            filled.many(work)
        assert caught.value is leaving, f"{kind.__name__} became {caught.value!r}"
        assert (filled.find(), filled.users()) == (["song-1"], (user(),)), f"{kind.__name__} commits"
    filled.add_songs(song("song-9", title="Title song-2"))
    filled.add_users(user("user-9", name="ADA"))
    assert filled.rate(rating("rating-9", value=1, key="key-2")).rating_id == "rating-9"


@clause("STO-4", "STO-6")
def test_what_a_unit_refuses(filled: StorageUser, storage: Storage, subject: Subject) -> None:
    """A unit is entered once, writes once, also where that was refused, and is over when its block is."""
    for first in (lambda unit: unit.songs.add(song("song-2")), lambda unit: unit.songs.add(song(title="Another"))):
        once = storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline())
        with once as unit:
            with suppress(DuplicateSong):
                first(unit)  # type: ignore[no-untyped-call]
            with pytest.raises(ScopeViolation):
                unit.users.add(user("user-2"))
        with pytest.raises(Exception), once:  # noqa: B017, PT011 - a generator's is of no kind of ours
            pass
    assert filled.find() == ["song-1", "song-2"]
    assert filled.users() == (user(),)


@clause("STO-14")
def test_a_deadline_that_passes_within(filled: StorageUser, storage: Storage, subject: Subject) -> None:
    """A write that is called after it is not made, whatever the caller does with the error."""
    with suppress(SongsError), storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline(1.0)) as unit:
        assert unit.songs.get("song-1") == song()
        subject.clock.advance(2.0)
        with pytest.raises((StorageUnavailable, DeadlineExceeded)):
            unit.songs.add(song("song-2"))
    assert filled.find() == ["song-1"]


@clause("STO-4", "STO-7")
@requires("transactions")
@pytest.mark.parametrize(
    "refused", [pytest.param(each, id=each[0], marks=pytest.mark.clause(each[1])) for each in REFUSALS]
)
def test_going_on_after_a_refusal(filled: StorageUser, refused: tuple[str, str]) -> None:
    """A transaction whose block catches a refusal and ends cleanly commits everything else."""
    refusal, write = REFUSALS[refused]

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2"))
        with pytest.raises(refusal):
            write(unit)
        assert unit.songs.get("song-2") == song("song-2")
        unit.ratings.add(rating("rating-2", song_id="song-2"))

    filled.many(work)
    assert filled.find() == ["song-1", "song-2"]
    assert [event.id for event in filled.events("song-2")] == ["rating-2"]
    assert [event.id for event in filled.events("song-1")] == ["rating-1"]


@clause("SNG-12", "STO-8")
@requires("transactions")
def test_totals_within_a_transaction(filled: StorageUser) -> None:
    """Counts, totals and searches of a transaction are those of its own writes."""

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2", title="Another", level=7, difficulty_milli=7))
        assert unit.songs.count(EVERYTHING) == 2
        assert unit.songs.count(SongFilter(text="another")) == 1
        assert unit.songs.count(SongFilter(level=7)) == 1
        assert unit.songs.difficulty_totals() == DifficultyTotals(2, 5_257)
        assert [each.id for each in unit.songs.find(SongFilter(text="another"), limit=9)] == ["song-2"]
        assert list(unit.songs.identify([song("song-2", title="Another").identity]).values()) == [
            song("song-2", title="Another", level=7, difficulty_milli=7)
        ]
        unit.songs.delete("song-1")
        assert unit.songs.count(EVERYTHING) == 1
        assert unit.songs.difficulty_totals() == DifficultyTotals(1, 7)
        assert unit.songs.count(SongFilter(level=5)) == 0

    filled.many(work)
