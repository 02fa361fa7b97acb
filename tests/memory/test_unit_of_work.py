"""Units of work: snapshots, turns, rollback, and what a strict double refuses."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from songs.errors import DeadlineExceeded, ScopeViolation, StorageClosed, StorageUnavailable
from songs.model import Rating, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_memory.storage import MemoryStorage

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

EVERYTHING = SongFilter()


def _in_thread(work: Callable[[], object]) -> BaseException | None:
    """Run `work` in another thread and return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_a_reader_keeps_its_state(units: Units, new_song: Callable[..., Song]) -> None:
    """What is written after a READ unit began is not seen in it, and is seen in the next one."""
    with units(Scope.READ) as reader:
        with units(Scope.WRITE_ONE) as writer:
            writer.songs.add(new_song("1"))
        assert reader.songs.count(EVERYTHING) == 0
        assert reader.songs.get("1") is None
    with units(Scope.READ) as reader:
        assert reader.songs.count(EVERYTHING) == 1


def test_a_unit_sees_its_own_writes_and_nobody_else_does(units: Units, new_song: Callable[..., Song]) -> None:
    """Until the block ends, its writes are its own."""
    with units(Scope.WRITE_MANY) as writer:
        writer.songs.add(new_song("1"))
        writer.songs.add(new_song("2"))
        assert writer.songs.count(EVERYTHING) == 2
        with units(Scope.READ) as reader:
            assert reader.songs.count(EVERYTHING) == 0


@pytest.mark.parametrize("scope", [Scope.WRITE_ONE, Scope.WRITE_MANY])
def test_an_exception_rolls_everything_back(units: Units, new_song: Callable[..., Song], scope: Scope) -> None:
    """The exception itself leaves the block, nothing of the unit is kept, and the next writer gets its turn."""
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught, units(scope) as writer:  # noqa: PT012 - the block is what is tested
        writer.songs.add(new_song("1"))
        raise error
    assert caught.value is error
    with units(Scope.WRITE_ONE) as writer:
        assert writer.songs.count(EVERYTHING) == 0
        writer.songs.add(new_song("1"))


def test_a_second_write_in_write_one_is_refused(units: Units, new_song: Callable[..., Song]) -> None:
    """It raises ScopeViolation, also when the first write changed nothing."""
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.delete("absent")
        with pytest.raises(ScopeViolation, match="second write"):
            unit.songs.add(new_song("1"))


def test_a_write_in_read_is_refused(units: Units, new_song: Callable[..., Song]) -> None:
    """It raises ScopeViolation and changes nothing."""
    with units(Scope.READ) as unit:
        with pytest.raises(ScopeViolation, match="READ"):
            unit.songs.add(new_song("1"))
        assert unit.songs.count(EVERYTHING) == 0


@pytest.mark.parametrize("scope", list(Scope))
def test_repositories_end_with_their_block(units: Units, scope: Scope) -> None:
    """Before and after the block, every repository raises ScopeViolation; so does a second with statement."""
    unit_of_work = units(scope)
    with unit_of_work as unit:
        songs, ratings, users, sessions, coherence = unit.songs, unit.ratings, unit.users, unit.sessions, unit.coherence
    calls: list[Callable[[], object]] = [
        lambda: songs.get("1"),
        lambda: ratings.stats("1"),
        lambda: users.get("1"),
        lambda: sessions.get("1"),
        coherence.read,
        lambda: unit.songs.get("1"),
        unit_of_work.__enter__,
    ]
    for call in calls:
        with pytest.raises(ScopeViolation):
            call()


def test_another_thread_may_not_use_a_unit(units: Units) -> None:
    """A unit belongs to the thread that entered it; the violation harms it not."""
    with units(Scope.READ) as unit:
        assert isinstance(_in_thread(lambda: unit.songs.get("1")), ScopeViolation)
        assert unit.songs.get("1") is None


def test_a_writer_waits_for_its_turn_until_its_deadline(
    units: Units, storage: MemoryStorage, deadline: Callable[[float], Deadline]
) -> None:
    """While another unit is writing, a second one gives up at its deadline; a reader is answered."""

    def write() -> None:
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0.05)):
            raise AssertionError

    def read() -> None:
        with units(Scope.READ) as reader:
            reader.songs.count(EVERYTHING)

    with units(Scope.WRITE_ONE):
        assert isinstance(_in_thread(write), StorageUnavailable)
        assert _in_thread(read) is None
    with units(Scope.WRITE_ONE):
        pass


def test_a_unit_ends_with_its_deadline(
    storage: MemoryStorage, clock: object, advance: Callable[[float], None], new_song: Callable[..., Song]
) -> None:
    """After the deadline neither beginning a unit nor calling a repository is possible, and nothing is kept."""
    passed = Deadline(clock, 1_003.0)  # type: ignore[arg-type]  # the fixture's clock
    with pytest.raises(DeadlineExceeded), storage.unit_of_work(Scope.WRITE_MANY, deadline=passed) as unit:  # noqa: PT012
        unit.songs.add(new_song("1"))
        advance(3)
        unit.songs.add(new_song("2"))
    with pytest.raises(DeadlineExceeded), storage.unit_of_work(Scope.READ, deadline=passed):
        pass
    with storage.unit_of_work(Scope.READ, deadline=Deadline(clock, 2_000.0)) as unit:  # type: ignore[arg-type]
        assert unit.songs.count(EVERYTHING) == 0


def test_closing_forgets_everything(
    storage: MemoryStorage, units: Units, new_song: Callable[..., Song], deadline: Callable[[float], Deadline]
) -> None:
    """A unit that is open keeps its snapshot but cannot commit; after `close` nothing works; `open` begins empty."""
    with pytest.raises(StorageClosed), units(Scope.WRITE_ONE) as unit:  # noqa: PT012 - the block is what is tested
        unit.songs.add(new_song("1"))
        storage.close()
        storage.open()
    with units(Scope.WRITE_ONE) as unit:
        assert unit.songs.count(EVERYTHING) == 0
        unit.songs.add(new_song("1"))
    storage.close()
    storage.close()
    with pytest.raises(StorageClosed):
        units(Scope.READ)
    with pytest.raises(StorageClosed):
        storage.ping(deadline=deadline(1))
    with pytest.raises(StorageClosed):
        storage.prepare()
    storage.open()
    with units(Scope.READ) as unit:
        assert unit.songs.count(EVERYTHING) == 0


def test_a_removed_song_takes_its_keys_along(
    units: Units, new_song: Callable[..., Song], new_rating: Callable[..., Rating]
) -> None:
    """After a song was removed with its ratings, their keys are free for ratings of other songs."""
    with units(Scope.WRITE_MANY) as unit:
        unit.songs.add_many([new_song("1"), new_song("2")])
        unit.ratings.add(new_rating("r1", "1", key="k"))
        unit.songs.delete("1")
        receipt = unit.ratings.add(new_rating("r2", "2", key="k", value=5))
    assert (receipt.rating_id, receipt.stats.count) == ("r2", 1)
    with units(Scope.READ) as unit:
        assert unit.ratings.of_song("1", limit=10) == ()
        assert unit.ratings.stats("1") is None
