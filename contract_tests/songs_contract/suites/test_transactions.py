"""Units of work in which something goes wrong, or goes on."""

from collections.abc import Callable

import pytest

from songs.errors import DuplicateSong, KeyReused, SongNotFound, SongsError, UserExists, VersionConflict
from songs.model import DifficultyTotals
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser
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


@clause("STO-4")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors(filled: StorageUser, kind: type[BaseException]) -> None:
    """A unit that is left by an interrupt frees what it took, like one that is left by an error."""
    leaving = kind()

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2"))
        raise leaving

    with pytest.raises(kind) as caught:
        filled.write(work)
    assert caught.value is leaving
    filled.add_songs(song("song-3"))
    assert filled.song("song-3") == song("song-3")


@clause("STO-4", "STO-7")
@requires("transactions")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors_roll_back(filled: StorageUser, kind: type[BaseException]) -> None:
    """Nothing of a transaction is kept that was left by an interrupt."""

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2"))
        raise kind

    with pytest.raises(kind):
        filled.many(work)
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
