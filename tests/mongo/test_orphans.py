"""What deletions leave behind that are interrupted, and what sweeps it up."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from songs.model import Rating, RatingStats, Song, User
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs_mongo import MongoStorage
from songs_mongo import ratings as orphans
from songs_mongo.ratings import RatedSong, archive
from songs_mongo.unit import Unit

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOST = 40
"""More commands than any deletion or sweep of these tests takes."""


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture
def database(storage: MongoStorage) -> Any:
    """The database itself."""
    return storage._database


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], int, bool], bool]:
    """Runs something as a process that is killed at its n-th command, just before or just after the server has it.

    Returns whether that happened: not if there were fewer commands.
    """

    def run(work: Callable[[], object], at: int, sent: bool) -> bool:
        original, count = Unit._run, 0

        def command(self: Unit, *arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > at or (count == at and not sent):
                raise Killed
            result: Any = original(self, *arguments, **options)
            if count == at:
                raise Killed
            return result

        with monkeypatch.context() as patch:
            patch.setattr(Unit, "_run", command)
            try:
                work()
            except Killed:
                return True
        return False

    return run


@pytest.fixture
def rated(unit: Units, song: Callable[..., Song], rating: Callable[..., Rating]) -> Callable[[str], None]:
    """Adds a song with 16 ratings, of which 12 were moved and half have keys."""

    def add(song_id: str) -> None:
        with unit(Scope.WRITE_ONE) as opened:
            opened.songs.add(song(song_id))
        for n in range(16):
            with unit(Scope.WRITE_ONE) as opened:
                key = f"{song_id}-{n}" if n % 2 else None
                opened.ratings.add(rating(f"R{song_id}{n:02d}", song_id=song_id, key=key))

    return add


def kept(database: Any, *song_ids: str) -> bool:
    """Return whether the collections hold the records of 16 ratings for each of these songs, and no others."""
    left = {database.ratings: 12, database.claims: 8}
    return all(
        sorted(document["song"] for document in collection.find()) == sorted(song_ids * each)
        for collection, each in left.items()
    )


@pytest.mark.parametrize("sent", [False, True])
def test_a_deletion_that_ends_at_any_command(
    storage: MongoStorage, unit: Units, database: Any, rated: Any, die: Any, sent: bool
) -> None:
    """The song is there whole, or gone; what a killed process left of it is gone when the next one has prepared."""
    rated("S2")

    def delete() -> None:
        with unit(Scope.WRITE_ONE) as opened:
            opened.songs.delete("S1")

    for at in range(1, MOST):
        if not database.songs.find_one({"_id": "S1"}):
            rated("S1")
        interrupted = die(delete, at, sent)
        with unit(Scope.READ) as opened:
            stats = opened.ratings.stats("S1")
        assert stats in {None, RatingStats((0, 0, 16, 0, 0))}
        storage.prepare()
        assert kept(database, "S2", *(["S1"] if stats else []))
        if not interrupted:
            break
    assert 5 < at < MOST - 1


@pytest.mark.parametrize("sent", [False, True])
def test_a_sweep_that_ends_at_any_command(
    storage: MongoStorage, unit: Units, database: Any, rated: Any, die: Any, sent: bool
) -> None:
    """It can be interrupted anywhere, and another one ends it; songs that are there lose nothing."""
    rated("S2")
    for at in range(1, MOST):
        rated("S1")
        database.songs.delete_one({"_id": "S1"})
        interrupted = die(storage.prepare, at, sent)
        storage.prepare()
        assert kept(database, "S2")
        if not interrupted:
            break
    assert 5 < at < MOST - 1


@pytest.mark.parametrize("place", ["", "~", "A"])
def test_a_sweep_that_begins_anywhere(
    storage: MongoStorage,
    unit: Units,
    database: Any,
    rated: Any,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    """Wherever it begins, it goes around: page by page, with names of every beginning."""
    borns = ["-aaaaaaaaaaa", "0aaaaaaaaaaa", "Zaaaaaaaaaaa", "_aaaaaaaaaaa", "zaaaaaaaaaaa"]
    rated("S2")
    for born in borns:
        database.ratings.insert_many([{"_id": f"{born}/R{n}", "song": "S1"} for n in range(3)])
        other = f"{born[:-1]}b"
        database.claims.insert_many([{"_id": f"{other}{n}", "song": "S1", "born": other} for n in range(3)])
    monkeypatch.setattr(orphans, "BATCH", 2)
    monkeypatch.setattr("songs_mongo.ratings.secrets.token_urlsafe", lambda _: place)
    storage.prepare()
    assert kept(database, "S2")


def test_a_sweep_has_bounds(
    storage: MongoStorage, database: Any, commands: Any, monkeypatch: pytest.MonkeyPatch, rated: Any
) -> None:
    """One sweep looks at so many pages and no more; several reach everything."""
    borns = [f"{n:03d}aaaaaaaaa" for n in range(30)]
    database.ratings.insert_many([{"_id": f"{born}/R", "song": "S1"} for born in borns])
    monkeypatch.setattr(orphans, "BATCH", 2)
    monkeypatch.setattr(orphans, "PAGES", 3)
    commands.sent.clear()
    storage.prepare()
    assert commands.sent.count("find songs") <= 3
    assert database.ratings.count_documents({}) >= 24
    for _ in range(200):
        if database.ratings.count_documents({}) == 0:
            break
        storage.prepare()
    assert database.ratings.count_documents({}) == 0


def test_a_server_that_fails_the_sweep(storage: MongoStorage, database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preparing succeeds all the same: nothing depends on it."""
    database.ratings.insert_one({"_id": "gone/R", "song": "S1"})
    monkeypatch.setattr("songs_mongo.storage.SWEEP_S", 0.0)
    storage.prepare()
    assert database.ratings.count_documents({}) == 1


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, Callable[[], object]], None]]:
    """Has something done by others right after the n-th command from now on."""
    original = Unit._run

    def after(at: int, others: Callable[[], object]) -> None:
        count = 0

        def command(self: Unit, *arguments: Any, **options: Any) -> Any:
            nonlocal count
            result: Any = original(self, *arguments, **options)
            count += 1
            if count == at:
                others()
            return result

        monkeypatch.setattr(Unit, "_run", command)

    yield after
    monkeypatch.undo()


@pytest.mark.parametrize("sweeping", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_sweep_beside_a_rating(
    storage: MongoStorage, unit: Units, database: Any, rating: Any, song: Any, between: Any, at: int, sweeping: bool
) -> None:
    """A key of a song that is gone is taken over while a sweep removes it: the rating and its key stand."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S1"))
    with unit(Scope.WRITE_ONE) as opened:
        opened.ratings.add(rating("R1", key="k"))
    database.songs.delete_one({"_id": "S1"})
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S2"))

    def rate(rating_id: str) -> None:
        with unit(Scope.WRITE_ONE) as opened:
            receipt = opened.ratings.add(rating(rating_id, song_id="S2", key="k"))
        assert (receipt.rating_id, receipt.stats.count) == ("R900", 1)

    if sweeping:
        between(at, lambda: rate("R900"))
        storage.prepare()
    else:
        between(at, storage.prepare)
        rate("R900")
    rate("R901")
    assert [document["rating"] for document in database.claims.find({"song": "S2"})] == ["R900"]


def test_ratings_that_are_moved_while_their_song_is_deleted(
    storage: MongoStorage, unit: Units, database: Any, rated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves events of a song that somebody has deleted leaves them behind: the next sweep finds them."""
    rated("S1")
    with unit(Scope.WRITE_ONE) as opened:
        before = RatedSong.read(opened, "S1")  # type: ignore[arg-type]
        opened.songs.delete("S1")
    monkeypatch.setattr("songs_mongo.ratings.FULL", 1)
    monkeypatch.setattr("songs_mongo.ratings.KEPT", 1)
    monkeypatch.setattr(RatedSong, "read", classmethod(lambda *_: before))
    with unit(Scope.WRITE_ONE) as opened:
        archive(opened, "S1")  # type: ignore[arg-type]
    assert database.ratings.count_documents({}) == 3
    storage.prepare()
    assert kept(database)


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_the_deletion_of_a_user_that_ends_at_any_command(
    unit: Units, database: Any, die: Any, between: Any, at: int, sent: bool
) -> None:
    """The user is there, or gone; a session that began in between ends when its time is over, and is then collected."""

    def sign_in(session_id: str) -> None:
        database.sessions.insert_one(
            {"_id": session_id, "user_id": "U1", "expires_at": 5, "current_hash": "a", "previous_hash": ""}
        )

    def delete() -> None:
        with unit(Scope.WRITE_ONE) as opened:
            opened.users.delete("U1")

    with unit(Scope.WRITE_ONE) as opened:
        opened.users.add(User(id="U1", name="someone", password_hash="x", created_at=NOW))
    sign_in("T1")
    if at > 1:
        between(1, lambda: sign_in("T2"))
    assert die(delete, at, sent)
    with unit(Scope.READ) as opened:
        gone = opened.users.get("U1") is None
    assert gone == ((at, sent) >= (3, True))
    left = {document["_id"] for document in database.sessions.find()}
    # Sessions are looked for and removed (1, 2), then the user (3), then sessions that began in between (4, 5).
    remain = {"T1"} if (at, sent) < (2, True) else set()
    remain |= {"T2"} if at > 1 and (at, sent) < (5, True) else set()
    assert left == remain
    with unit(Scope.WRITE_ONE) as opened:
        assert opened.sessions.delete_expired(at=NOW, limit=100) == len(left)
    assert database.sessions.count_documents({}) == 0
