"""What others do between the reading of a song and the change of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_mongo import MongoStorage, encoding
from songs_mongo import ratings as rated_song
from songs_mongo.ratings import RatedSong, archive


@pytest.fixture
def others(storage: MongoStorage, rating: Any, deadline: Callable[[float], Deadline]) -> Callable[..., None]:
    """Rate S1, each in a unit of its own."""

    def rate(*ids: str) -> None:
        for each in ids:
            with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
                unit.ratings.add(rating(each))

    return rate


@pytest.fixture
def mine(
    storage: MongoStorage, song: Callable[..., Song], deadline: Callable[[float], Deadline], others: Callable[..., None]
) -> Iterator[Any]:
    """A unit of work; S1 has 16 ratings from R100 on, of which 12 were moved."""
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add(song())
    others(*[f"R{n}" for n in range(100, 116)])
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(10)) as unit:
        yield unit


@pytest.fixture
def behind(rating: Callable[..., Rating]) -> tuple[str, dict[str, Any]]:
    """An event whose id is less than those that were moved."""
    return "R050", encoding.event(rating("R050"))


def stored(unit: Any) -> RatingStats:
    """Return the statistics of S1."""
    stats: RatingStats = unit.ratings.stats("S1")
    return stats


def more(start: int) -> list[str]:
    """Return as many ids as lead to the next move, with the event that is behind first."""
    return ["R050", *[f"R{n}" for n in range(start, start + 11)]]


def test_stored_and_moved_since(mine: Any, others: Callable[..., None], behind: Any) -> None:
    """An event that came and was moved after the song was read is not told with statistics that lack it."""
    song = RatedSong.read(mine, "S1")
    others(*more(200))
    assert song is not None
    assert "R050" not in RatedSong.read(mine, "S1").recent  # type: ignore[union-attr]
    assert song.ensure(mine, *behind) is None
    assert RatedSong.read(mine, "S1").ensure(mine, *behind).count == 28  # type: ignore[union-attr]


def test_moved_after_the_look(
    mine: Any, others: Callable[..., None], behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that was moved right after nobody had found it is not counted twice."""
    song = RatedSong.read(mine, "S1")
    assert song is not None

    def look(*_: object) -> None:
        monkeypatch.undo()
        others(*more(200))

    monkeypatch.setattr(rated_song, "_moved_when", look)
    assert song.ensure(mine, *behind) is None
    assert stored(mine).count == 28


def test_another_song_under_the_id(
    mine: Any, storage: MongoStorage, song: Callable[..., Song], deadline: Callable[[float], Deadline], behind: Any
) -> None:
    """A rating for a song that was deleted is not given to the one that was added after it."""
    before = RatedSong.read(mine, "S1")
    assert before is not None
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.delete("S1")
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
        unit.songs.add(song())
    assert before.ensure(mine, *behind) is None
    assert stored(mine) == RatingStats()


def test_a_move_that_comes_late(mine: Any, others: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who moves what another has moved already notes nothing."""
    others(*[f"R{n}" for n in range(200, 211)])
    stale = RatedSong.read(mine, "S1")
    assert stale is not None
    assert len(stale.recent) == 15
    others("R300")
    monkeypatch.setattr(rated_song, "FULL", 15)
    monkeypatch.setattr(RatedSong, "read", classmethod(lambda *_: stale))
    archive(mine, "S1")
    monkeypatch.undo()
    now = RatedSong.read(mine, "S1")
    assert now is not None
    assert (now.moved, len(now.recent), now.stats.count) == (24, 4, 28)
