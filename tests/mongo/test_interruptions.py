"""Writes that end half way, and what the next one makes of them; what a deleted song leaves behind."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from songs.errors import KeyReused, OutcomeUnknown, StorageUnavailable
from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.ratings import RatingReceipt
from songs.ports.storage import Scope, UnitOfWork
from songs_mongo import MongoStorage, encoding
from songs_mongo.ratings import RatedSong, archive

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
Rate = Callable[[Rating], RatingReceipt]


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture
def rate(unit: Units, song: Callable[..., Song]) -> Rate:
    """Stores a rating; S1 and S2 are there."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song("S1"), song("S2")])

    def add(rating: Rating) -> RatingReceipt:
        with unit(Scope.WRITE_ONE) as opened:
            return opened.ratings.add(rating)

    return add


@pytest.fixture
def database(storage: MongoStorage) -> Any:
    """The database itself."""
    assert storage._database is not None
    return storage._database


@pytest.fixture
def read(unit: Units) -> Callable[[], tuple[RatingStats | None, list[str]]]:
    """Returns the statistics of S1, and its event ids."""

    def look() -> tuple[RatingStats | None, list[str]]:
        with unit(Scope.READ) as opened:
            events = opened.ratings.of_song("S1", limit=1000)
            return opened.ratings.stats("S1"), [event.id for event in events]

    return look


@pytest.fixture
def claimed(database: Any, rate: Rate, rating: Callable[..., Rating]) -> Rating:
    """A rating of S1 under the key "k", whose writer died between claim and event."""
    event = rating("R1", 4, key="k")
    born = database.songs.find_one({"_id": "S1"})["born"]
    database.claims.insert_one(encoding.Claim(encoding.digest("U1", "k"), born, event).document())
    return event


def test_a_claim_repeated_by_its_owner(claimed: Rating, rate: Rate, read: Any) -> None:
    """The same event is stored, once."""
    for _ in range(2):
        assert rate(claimed).rating_id == "R1"
    assert read() == (RatingStats((0, 0, 0, 1, 0)), ["R1"])


def test_a_claim_repeated_by_another_event(claimed: Rating, rate: Rate, rating: Any, read: Any) -> None:
    """The claimed event is stored, and the second learns its id."""
    assert rate(rating("R2", 4, key="k")).rating_id == "R1"
    assert read() == (RatingStats((0, 0, 0, 1, 0)), ["R1"])


@pytest.mark.parametrize("changes", [{"value": 5}, {"song_id": "S2"}])
def test_a_claim_and_another_rating(
    changes: dict[str, Any], claimed: Rating, rate: Rate, rating: Any, read: Any
) -> None:
    """Another song or value comes after the claimed one, which is stored: the key belongs to a rating that exists."""
    with pytest.raises(KeyReused):
        rate(rating("R2", **({"value": 4} | changes), key="k"))
    assert read() == (RatingStats((0, 0, 0, 1, 0)), ["R1"])


def test_a_claim_whose_song_went(claimed: Rating, rate: Rate, unit: Units, database: Any, rating: Any) -> None:
    """The key is free again, also where the claim itself is left over."""
    claim = database.claims.find_one()
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.delete("S1")
    assert database.claims.count_documents({}) == 0
    database.claims.insert_one(claim)
    assert rate(rating("R2", 1, song_id="S2", key="k")).rating_id == "R2"
    assert rate(rating("R3", 1, song_id="S2", key="k")).rating_id == "R2"


def test_events_that_were_copied_but_not_removed(rate: Rate, rating: Any, database: Any, read: Any) -> None:
    """Whoever moved them died in between: they are seen once, and moved once by the next."""
    for n in range(15):
        rate(rating(f"R{n:02d}"))
    document = database.songs.find_one({"_id": "S1"})
    copies = [
        {"_id": f"{document['born']}/{each}", "song": "S1", "seq": 0, **event}
        for each, event in document["recent"].items()
    ]
    database.ratings.insert_many(copies[:5])
    assert read()[1] == [f"R{n:02d}" for n in range(15)]
    rate(rating("R15"))
    assert database.ratings.count_documents({}) == 12
    assert read() == (RatingStats((0, 0, 16, 0, 0)), [f"R{n:02d}" for n in range(16)])
    assert rate(rating("R03")).stats.count == 16


def test_two_that_move_at_once(rate: Rate, rating: Any, unit: Units, database: Any, read: Any) -> None:
    """One who read the song before another moved its events changes nothing."""
    for n in range(15):
        rate(rating(f"R{n:02d}"))
    with unit(Scope.WRITE_ONE) as opened:
        before = RatedSong.read(opened, "S1")  # type: ignore[arg-type]
        opened.ratings.add(rating("R15"))
    assert before is not None
    with unit(Scope.WRITE_ONE) as opened:
        archive(opened, "S1")  # type: ignore[arg-type]
    document = database.songs.find_one({"_id": "S1"})
    assert (document["moved"], sorted(document["recent"])) == (12, ["R12", "R13", "R14", "R15"])
    with unit(Scope.WRITE_ONE) as opened:
        event = rating("R00")
        stats = before.ensure(opened, "R00", encoding.event(event))  # type: ignore[arg-type]
    assert stats == RatingStats((0, 0, 15, 0, 0))
    assert read()[0] == RatingStats((0, 0, 16, 0, 0))


def test_what_a_deleted_song_leaves(rate: Rate, rating: Any, unit: Units, database: Any, song: Any, read: Any) -> None:
    """Its events and claims are removed after it; what is left over is nobody's when the song is added again."""
    for n in range(40):
        rate(rating(f"R{n:02d}", key=f"k{n}"))
    left = list(database.ratings.find())
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.delete("S1")
    assert (database.ratings.count_documents({}), database.claims.count_documents({})) == (0, 0)
    database.ratings.insert_many(left)
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add(song("S1"))
    assert read() == (RatingStats(), [])
    assert rate(rating("R00", key="k0")).stats.count == 1


def test_an_outcome_that_stays_unknown(
    storage: MongoStorage, rate: Rate, rating: Any, unit: Units, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    """When the way to the server breaks after the claim, the outcome is unknown; the same call completes it."""
    original = RatedSong.ensure

    def break_off(self: RatedSong, transaction: Any, *event: Any) -> None:
        transaction.read(no_way)

    def no_way(database: Any, session: Any) -> None:
        raise AutoReconnect("broken")

    monkeypatch.setattr(RatedSong, "ensure", break_off)
    with pytest.raises(OutcomeUnknown) as caught:
        rate(rating("R1", key="k"))
    assert not isinstance(caught.value, StorageUnavailable)
    monkeypatch.setattr(RatedSong, "ensure", original)
    assert read() == (RatingStats(), [])
    assert rate(rating("R1", key="k")).stats.count == 1
