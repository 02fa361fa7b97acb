"""Looking for statistics that do not agree with the events, in batches."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from songs.application.runner import UnitRunner
from songs.model import Rating, Song
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.tools.checking import Examiner
from songs_mongo import MongoStorage

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
PAGE = 10
SONGS = 2 * PAGE + 1
RATED = ("S0000", "S0001", f"S{PAGE:04d}", f"S{SONGS - 1:04d}")
EACH = 17
"""So many ratings that some were moved."""


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 10 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(10))


@pytest.fixture
def database(
    storage: MongoStorage,
    unit: Units,
    song: Callable[..., Song],
    rating: Callable[..., Rating],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Two pages of songs and one more; the first, the last and two others have ratings."""
    monkeypatch.setattr("songs_mongo.maintenance.PAGE", PAGE)
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song(f"S{n:04d}") for n in range(SONGS)])
    for each in RATED:
        for n in range(EACH):
            with unit(Scope.WRITE_ONE) as opened:
                opened.ratings.add(rating(f"{each}-R{n:02d}", 1 + n % 5, song_id=each))
    return storage._database


@pytest.fixture
def found(storage: MongoStorage, database: Any) -> Callable[..., list[str]]:
    """Examines; returns the songs that are found wrong."""
    return lambda **options: [each.what.split()[5] for each in storage.examine(**options)]


def test_examining_asks_in_batches(found: Callable[..., list[str]], commands: Any) -> None:
    """A few commands a page of songs, however many songs and ratings there are; those that are wrong by themselves."""
    commands.clear()
    assert found() == []
    assert len(commands.sent) <= 4 * (SONGS // PAGE + 2)
    assert not [each for each in commands.sent if each.startswith("getMore")]


@pytest.mark.parametrize(
    "change",
    [{"$inc": {"n1": 1}}, {"$inc": {"n1": 1, "n5": -1}}, {"$set": {"n1": 0}}, {"$unset": {"n3": ""}}],
)
def test_statistics_that_are_wrong(change: dict[str, Any], found: Callable[..., list[str]], database: Any) -> None:
    """They are found on any page, and mended."""
    for each in RATED:
        database.songs.update_one({"_id": each}, change)
    assert found() == list(RATED)
    assert found(repair=True) == list(RATED)
    assert found() == []


def test_events_that_are_missing(found: Callable[..., list[str]], database: Any) -> None:
    """Statistics that count them are wrong."""
    for each in RATED[1:]:
        born = database.songs.find_one({"_id": each})["born"]
        database.ratings.delete_one({"_id": f"{born}/{each}-R03"})
    assert found() == list(RATED[1:])


def test_events_that_are_in_both_places(found: Callable[..., list[str]], database: Any) -> None:
    """They count once: whoever moved them died in between. Statistics that count them twice are found."""
    first, second = RATED[:2]
    for each in (first, second):
        document = database.songs.find_one({"_id": each})
        copies = [
            {"_id": f"{document['born']}/{event_id}", "song": each, "seq": document["moved"], **event}
            for event_id, event in document["recent"].items()
        ]
        database.ratings.insert_many(copies)
        if each == second:
            twice = {f"n{value}": sum(copy["value"] == value for copy in copies) for value in range(1, 6)}
            database.songs.update_one({"_id": each}, {"$inc": twice})
    assert found() == [second]


def test_events_that_a_deleted_song_left(found: Callable[..., list[str]], database: Any) -> None:
    """Those of another incarnation of a song are not its own."""
    database.ratings.insert_one({"_id": "gone/R1", "song": RATED[0], "seq": 0, "value": 1, "user": "U", "at": 0})
    assert found() == []


@pytest.mark.parametrize("ratings", [0, 40])
def test_the_walk_asks_in_batches(
    storage: MongoStorage,
    unit: Units,
    song: Callable[..., Song],
    rating: Callable[..., Rating],
    commands: Any,
    clock: Clock,
    ratings: int,
) -> None:
    """What looks at every song through the ports sends as many commands for a hundred of them as for ten."""
    examiner = Examiner("mongo", storage, UnitRunner(storage, clock, max_calls=1), clock)
    sent: list[int] = []

    def look(songs: int) -> None:
        commands.clear()
        found = examiner.run()
        assert (found.wrong, found.seen.songs, found.seen.ratings) == ([], songs, ratings)
        sent.append(len(commands.sent))

    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song(f"S{n:04d}") for n in range(10)])
    for n in range(ratings):
        with unit(Scope.WRITE_ONE) as opened:
            opened.ratings.add(rating(f"R{n:02d}", 1 + n % 5, song_id=f"S{n % 2:04d}"))
    look(10)
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song(f"S{n:04d}") for n in range(10, 100)])
    look(100)

    assert sent[0] == sent[1]
