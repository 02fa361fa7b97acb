"""Limits and offsets that no page has, as programs of others may ask for."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from songs.one_by_one import batches_of
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import fill

STORAGES = ("memory", "jsonfile", "sqlite", "postgres", "mongo")
NOTHING = (0, -1, -2, -(2**70))
EVERYTHING = (2**31, 2**63 - 1, 2**63, 2**70)
LATE = datetime(9999, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", params=STORAGES)
def filled(request: pytest.FixtureRequest, opened: Callable[[str], Any]) -> Any:
    """A storage with songs, ratings, users and sessions."""
    storage = opened(request.param)
    fill(storage.use)
    return storage


LISTS: dict[str, Callable[[UnitOfWork, int], object]] = {
    "songs": lambda unit, limit: unit.songs.find(SongFilter(), limit=limit),
    "songs of a level": lambda unit, limit: unit.songs.find(SongFilter(level=1), limit=limit),
    "songs beyond one": lambda unit, limit: unit.songs.find(SongFilter(), limit=limit, after_id="song-0", offset=1),
    "ratings": lambda unit, limit: unit.ratings.of_song("song-1", limit=limit),
    "ratings of many songs": lambda unit, limit: batches_of(unit).rated(["song-1"], limit=limit)["song-1"].ratings,
    "users": lambda unit, limit: unit.users.find(limit=limit),
}


@pytest.mark.parametrize("name", LISTS)
def test_limits_of_lists(name: str, filled: Any) -> None:
    """A limit below 1 lists nothing, and one beyond all numbers everything."""
    listed = [filled.do(lambda unit, limit=limit: LISTS[name](unit, limit)) for limit in (1000, *NOTHING, *EVERYTHING)]
    everything, *others = listed

    assert everything
    assert others == [()] * len(NOTHING) + [everything] * len(EVERYTHING)


def test_offsets(filled: Any) -> None:
    """An offset below 0 is none, and one beyond all numbers leaves nothing."""

    def found(offset: int) -> Any:
        return filled.do(lambda unit: unit.songs.find(SongFilter(), limit=2**70, offset=offset))

    everything = found(0)
    assert len(everything) > 1
    assert [found(offset) for offset in (-1, -(2**70))] == [everything] * 2
    assert [found(offset) for offset in EVERYTHING] == [()] * len(EVERYTHING)


def test_limits_of_deletions(filled: Any) -> None:
    """A limit below 1 deletes no session."""
    of_user = [
        filled.do(lambda unit, limit=limit: unit.sessions.delete_of_user("user-1", limit=limit), scope=Scope.WRITE_ONE)
        for limit in NOTHING
    ]
    expired = [
        filled.do(lambda unit, limit=limit: unit.sessions.delete_expired(at=LATE, limit=limit), scope=Scope.WRITE_ONE)
        for limit in NOTHING
    ]
    assert of_user == expired == [0] * len(NOTHING)
    everything = filled.do(lambda unit: unit.sessions.delete_expired(at=LATE, limit=2**70), scope=Scope.WRITE_ONE)
    assert everything > 1
