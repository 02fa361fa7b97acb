"""Units of work: commit, roll back, scopes, isolation, visibility."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from songs.errors import (
    DeadlineExceeded,
    DuplicateSong,
    ScopeViolation,
    SongsError,
    StorageClosed,
    StorageUnavailable,
    Unsupported,
)
from songs.model import RatingStats
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser
from songs_contract.harness.subject import Subject, place
from songs_contract.law import builds_on, clause, requires
from songs_contract.models.samples import NOW, next_version, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

WRITES: dict[str, Callable[[UnitOfWork], object]] = {
    "songs.add": lambda unit: unit.songs.add(song("song-2")),
    "songs.add_many": lambda unit: unit.songs.add_many([song("song-2"), song("song-3")]),
    "songs.replace": lambda unit: unit.songs.replace(next_version(song(), level=6), if_version=1),
    "songs.delete": lambda unit: unit.songs.delete("song-1"),
    "ratings.add": lambda unit: unit.ratings.add(rating("rating-2", key="key-2")),
    "users.add": lambda unit: unit.users.add(user("user-2")),
    "users.replace": lambda unit: unit.users.replace(user(version=2, disabled=True), if_version=1),
    "users.delete": lambda unit: unit.users.delete("user-1"),
    "sessions.add": lambda unit: unit.sessions.add(session("session-2")),
    "sessions.rotate": lambda unit: unit.sessions.rotate(
        "session-1", presented_hash="hash-1", next_hash="hash-2", at=NOW, grace_s=10
    ),
    "sessions.delete": lambda unit: unit.sessions.delete("session-1"),
    "sessions.delete_of_user": lambda unit: unit.sessions.delete_of_user("user-1", limit=9),
    "sessions.delete_expired": lambda unit: unit.sessions.delete_expired(at=session().expires_at, limit=10),
    "coherence.advance": lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False),
}

TOGETHER = (
    *("songs.add", "songs.replace", "ratings.add", "users.add", "users.replace"),
    *("sessions.add", "sessions.rotate", "coherence.advance"),
)
"""Writes that can follow one another, of every repository."""

REFUSED: dict[str, Callable[[UnitOfWork], object]] = {
    "songs.add of a taken identity": lambda unit: unit.songs.add(song("song-9", title="Title song-1")),
    "songs.add of a taken id": lambda unit: unit.songs.add(song("song-1", title="Another")),
    "songs.replace of an old version": lambda unit: unit.songs.replace(song(version=8, level=9), if_version=7),
    "songs.replace of no song": lambda unit: unit.songs.replace(song("song-9", version=2), if_version=1),
    "songs.delete of an old version": lambda unit: unit.songs.delete("song-1", if_version=7),
    "ratings.add to no song": lambda unit: unit.ratings.add(rating("rating-9", song_id="song-9")),
    "ratings.add with a used key": lambda unit: unit.ratings.add(rating("rating-9", value=1, key="key-1")),
    "users.add of a taken name": lambda unit: unit.users.add(user("user-9", name="USER-1")),
    "users.replace of an old version": lambda unit: unit.users.replace(user(version=8), if_version=7),
    "users.replace of no user": lambda unit: unit.users.replace(user("user-9", version=2), if_version=1),
}


FILTERS = (SongFilter(text="son"), SongFilter(text="ng"), SongFilter(artist="trad."), SongFilter(level=5))


def everything(unit: UnitOfWork) -> list[object]:
    """Return all that can be read of what these tests store."""
    return [
        [unit.songs.get(f"song-{n}") for n in (1, 2, 3)],
        unit.songs.find(SongFilter(), limit=10),
        [(unit.songs.count(each), unit.songs.find(each, limit=10)) for each in FILTERS],
        unit.songs.identify([song(f"song-{n}").identity for n in (1, 2, 3)]),
        [unit.songs.difficulty_totals(level) for level in (None, 5, 6)],
        unit.ratings.stats("song-1"),
        unit.ratings.of_song("song-1", limit=10),
        unit.users.find(limit=10),
        [(unit.users.get(f"user-{n}"), unit.users.by_name(f"USER-{n}")) for n in (1, 2)],
        [unit.sessions.get(f"session-{n}") for n in (1, 2)],
        unit.coherence.read(),
    ]


def fill(use: StorageUser) -> StorageUser:
    """Store one song, rating, user and session."""
    use.add_songs(song())
    use.rate(rating(key="key-1"))
    use.add_users(user())
    use.add_sessions(session())
    return use


@pytest.fixture
def filled(use: StorageUser) -> StorageUser:
    """One song, rating, user and session."""
    return fill(use)


class PlantedError(Exception):
    """What the body of a unit raises in these tests."""


@clause("STO-4", "STO-10")
@pytest.mark.parametrize("name", WRITES)
def test_a_clean_exit_commits(filled: StorageUser, subject: Subject, name: str) -> None:
    """After the block, fresh units see the write, through objects too that were open before or are opened now."""
    before = filled.read(everything)
    others = [filled.on(subject.storage())] if subject.declares("shared") else []
    assert [other.read(everything) for other in others] == [before for _ in others]
    filled.write(WRITES[name])
    after = filled.read(everything)
    assert after != before
    others += [filled.on(subject.storage()) for _ in others]
    assert [other.read(everything) for other in others] == [after for _ in others]


@clause("STO-4", "STO-7", "STO-8")
@requires("transactions")
@pytest.mark.parametrize("name", WRITES)
def test_an_exception_rolls_back(filled: StorageUser, name: str) -> None:
    """The unit sees its own write; after an exception nothing of it is there, and that very exception leaves."""
    before = filled.read(everything)
    planted, seen = PlantedError(), []

    def work(unit: UnitOfWork) -> None:
        seen.append(everything(unit))
        WRITES[name](unit)
        seen.append(everything(unit))
        raise planted

    with pytest.raises(PlantedError) as caught:
        filled.many(work)
    assert caught.value is planted
    assert filled.read(everything) == before
    filled.write(WRITES[name])
    assert seen == [before, filled.read(everything)]


@clause("STO-4", "STO-6")
@pytest.mark.parametrize("name", WRITES)
def test_an_exception_after_the_one_write(filled: StorageUser, subject: Subject, tmp_path: Path, name: str) -> None:
    """After an exception the one write is there whole or not at all, and that very exception leaves the statement."""
    before = filled.read(everything)
    planted = PlantedError()

    def work(unit: UnitOfWork) -> None:
        WRITES[name](unit)
        raise planted

    with pytest.raises(PlantedError) as caught:
        filled.write(work)
    assert caught.value is planted
    left, stats, events = filled.read(everything), filled.stats(), filled.events()
    assert (stats or RatingStats()) == RatingStats.of(event.value for event in events)
    # Every write is safe to repeat: where it is there whole, repeating it changes nothing.
    filled.write(WRITES[name])
    after = filled.read(everything)
    assert left in (before, after)
    assert after != before
    # Where it is there in part, repeating it may change nothing either.
    assert left == before or left == _written_elsewhere(subject, tmp_path, name)


def _written_elsewhere(subject: Subject, folder: Path, name: str) -> list[object]:
    (folder / "elsewhere").mkdir()
    with place(subject.target, subject.spec, folder / "elsewhere") as other:
        use = StorageUser(other.storage(), other)
        fill(use)
        use.write(WRITES[name])
        return use.read(everything)


@clause("STO-4")
@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE_ONE])
def test_a_failed_unit_frees_what_it_took(
    filled: StorageUser, storage: Storage, deadline: Callable[[], Deadline], scope: Scope
) -> None:
    """A hundred units that end by an exception leave no lock, no connection and no slot behind."""
    for _ in range(100):
        with pytest.raises(PlantedError), storage.unit_of_work(scope, deadline=deadline()):
            raise PlantedError
    filled.write(WRITES["songs.add"])
    assert filled.song("song-2") == song("song-2")


@clause("STO-4")
def test_a_domain_error_frees_what_it_took(filled: StorageUser) -> None:
    """A write that is refused leaves the storage usable, and the error reaches the caller as it is."""
    for _ in range(50):
        with pytest.raises(DuplicateSong):
            filled.add_songs(song("song-9", title="Title song-1"))
    assert filled.find() == ["song-1"]


@clause("STO-4")
def test_repositories_end_with_their_unit(filled: StorageUser, storage: Storage, subject: Subject) -> None:
    """A repository that was kept beyond its unit can do nothing any more."""
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline()) as unit:
        songs, ratings, users, sessions, coherence = (
            unit.songs,
            unit.ratings,
            unit.users,
            unit.sessions,
            unit.coherence,
        )
    for call in (
        lambda: songs.get("song-1"),
        lambda: ratings.stats("song-1"),
        lambda: users.get("user-1"),
        lambda: sessions.get("session-1"),
        coherence.read,
        lambda: songs.add(song("song-2")),
    ):
        with pytest.raises(ScopeViolation):
            call()
    assert filled.song("song-2") is None


@clause("STO-5")
@pytest.mark.parametrize("name", WRITES)
def test_a_read_unit_cannot_write(filled: StorageUser, name: str) -> None:
    """Every write in a READ unit is refused and changes nothing, though the caller swallows the error."""
    before = filled.read(everything)

    def work(unit: UnitOfWork) -> None:
        with pytest.raises(ScopeViolation):
            WRITES[name](unit)

    filled.read(work)
    assert filled.read(everything) == before


@clause("STO-7")
@requires("transactions")
def test_many_writes_commit_together(filled: StorageUser) -> None:
    """All writes of a transaction are there after it."""

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2"))
        unit.ratings.add(rating("rating-2", song_id="song-2"))
        unit.ratings.add(rating("rating-3", song_id="song-2"))
        unit.users.add(user("user-2"))

    filled.many(work)
    stats = filled.stats("song-2")
    assert stats is not None
    assert stats.count == 2
    assert filled.user("user-2") == user("user-2")


@clause("STO-7")
@requires("transactions")
def test_many_writes_roll_back_together(filled: StorageUser) -> None:
    """When the last write of a transaction fails, the first is undone."""
    before = filled.read(everything)

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2"))
        unit.ratings.add(rating("rating-2"))
        unit.songs.add(song("song-9", title="Title song-1"))

    with pytest.raises(DuplicateSong):
        filled.many(work)
    assert filled.read(everything) == before


@clause("STO-7")
@requires("not transactions")
def test_transactions_that_are_not_offered(filled: StorageUser) -> None:
    """A storage without transactions says so when one is asked for, before any write."""
    with pytest.raises(Unsupported):
        filled.many(WRITES["songs.add"])
    assert filled.song("song-2") is None


@clause("STO-8")
@requires("transactions")
def test_a_unit_sees_its_own_writes(filled: StorageUser) -> None:
    """Within a transaction later reads see earlier writes."""

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("song-2", level=7))
        assert unit.songs.get("song-2") == song("song-2", level=7)
        assert unit.songs.difficulty_totals(7).count == 1
        unit.ratings.add(rating("rating-2", song_id="song-2", value=5))
        stats = unit.ratings.stats("song-2")
        assert stats is not None
        assert stats.distribution == (0, 0, 0, 0, 1)
        unit.songs.delete("song-2")
        assert unit.songs.get("song-2") is None

    filled.many(work)


@clause("STO-13")
def test_refusals_are_errors_of_the_domain(filled: StorageUser) -> None:
    """Whatever a storage objects to, it says with an error that its callers know."""
    for name, work in (REFUSED | WRITES).items():
        for _ in range(2):
            try:
                filled.write(work)
            except SongsError:
                continue
            except Exception as error:  # noqa: BLE001 - that is what must not happen
                pytest.fail(f"{name} let {type(error).__module__}.{type(error).__qualname__} through: {error}")


@clause("STO-14")
@pytest.mark.parametrize("scope", [Scope.READ, Scope.WRITE_ONE])
def test_a_deadline_that_has_passed(filled: StorageUser, storage: Storage, subject: Subject, scope: Scope) -> None:
    """A unit that begins when its time is up raises one of the errors for that, and changes nothing."""
    late = subject.deadline(1.0)
    subject.clock.advance(2.0)
    before = filled.read(everything)
    work: Callable[[UnitOfWork], object] = WRITES["ratings.add"] if scope is Scope.WRITE_ONE else everything
    with pytest.raises((StorageUnavailable, DeadlineExceeded)), storage.unit_of_work(scope, deadline=late) as unit:
        work(unit)
    assert filled.read(everything) == before


@clause("STO-14")
@requires("transactions")
def test_a_writer_that_waits_for_another(filled: StorageUser, storage: Storage, subject: Subject) -> None:
    """A unit that has to wait for another writer beyond its deadline gives up by itself."""
    outcome: list[object] = []

    def second() -> None:
        try:
            with storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline(0.3)) as unit:
                unit.songs.replace(next_version(song(), level=9), if_version=1)
            outcome.append("written")
        except SongsError as error:
            outcome.append(error.code)

    with storage.unit_of_work(Scope.WRITE_MANY, deadline=subject.deadline()) as unit:
        unit.songs.replace(next_version(song(), level=8), if_version=1)
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(5)
        assert not waiting.is_alive(), "the second writer waits beyond its deadline"
    given_up = {"storage_unavailable", "deadline_exceeded", "outcome_unknown"}
    assert outcome[0] in given_up | {"transient_conflict", "version_conflict"}
    stored = filled.song()
    assert stored is not None
    assert stored.level == 8


@clause("STO-17")
@builds_on("SNG-9")
def test_nothing_works_on_a_closed_storage(storage: Storage, subject: Subject) -> None:
    """After close a unit is refused; closing again is no error; opening again makes it usable."""
    storage.close()
    storage.close()
    with pytest.raises(StorageClosed), storage.unit_of_work(Scope.READ, deadline=subject.deadline()):
        pass
    storage.open()
    storage.prepare()
    with storage.unit_of_work(Scope.READ, deadline=subject.deadline()) as unit:
        assert unit.songs.get("song-1") is None
