"""Reads of many records at once: what they return is what the repositories return one by one, for fewer calls."""

from collections.abc import Callable
from itertools import product
from typing import Final

import pytest

from songs.model import RatingStats
from songs.ports.batches import Batches, BatchingUnit
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser, race, returned
from songs_contract.law import builds_on, clause
from songs_contract.models.samples import rating, song, user
from songs_plugins import FaultInjector, Port

PORT = Port.STORAGE

FEW, MANY = 10, 100
MOST_CALLS: Final = 50
STRANGE: Final = ["", "unheard-of", "song-1\0", "\ud800", "S\u00f6ng", "x" * 2000, "$where", "%", "song_1"]
"""Texts that no record has for its id or name."""


def batches(unit: UnitOfWork) -> Batches:
    """Return what reads many records; skip the test where a unit has no such thing."""
    if not isinstance(unit, BatchingUnit):
        pytest.skip("declared unsupported: BatchingUnit")
    return unit.batches


@clause("BAT-1")
def test_many_records(use: StorageUser) -> None:
    """Songs and users come back equal to what was stored, by what was asked for; what is not there is left out."""
    songs = [song(f"song-{n}", artist=f"Artíst {n}", level=n) for n in range(12)]
    users = [user(f"user-{n}", name=f"Anna{n}") for n in range(12)]
    use.add_many(songs)
    use.add_users(*users)
    asked = songs[1:-1]
    found = use.read(lambda unit: batches(unit).songs([*(each.id for each in asked), *STRANGE]))
    assert found == {each.id: each for each in asked}
    found_users = use.read(lambda unit: batches(unit).users([*(each.id for each in users[1:-1]), *STRANGE]))
    assert found_users == {each.id: each for each in users[1:-1]}
    names = [*(each.name.swapcase() for each in users[1:-1]), users[1].name, *STRANGE]
    named = use.read(lambda unit: batches(unit).users_named(names))
    assert named == {**{each.name.swapcase(): each for each in users[1:-1]}, users[1].name: users[1]}


@clause("BAT-1", "BAT-2", "BAT-3")
def test_nothing_at_all(use: StorageUser) -> None:
    """Asked for nothing, each returns nothing."""
    use.add_songs(song())
    assert use.read(lambda unit: batches(unit).songs([])) == {}
    assert use.read(lambda unit: batches(unit).users([])) == {}
    assert use.read(lambda unit: batches(unit).users_named([])) == {}
    assert use.read(lambda unit: batches(unit).meeting([])) == frozenset()
    assert use.read(lambda unit: batches(unit).rated([], limit=1)) == {}


FILTERS: Final = [
    SongFilter(),
    SongFilter(level=5),
    SongFilter(level=6),
    SongFilter(level=101),
    SongFilter(artist="dvorak"),
    SongFilter(artist="dvor"),
    SongFilter(artist="\0"),
    SongFilter(text="vor"),
    SongFilter(text="e"),
    SongFilter(text="humoresque"),
    SongFilter(text="humoresqueue"),
    SongFilter(text="dvorakhumoresque"),
    SongFilter(text="100%_."),
    SongFilter(text="%"),
    SongFilter(text="\ud800"),
    SongFilter(text="hum", level=6),
    SongFilter(text="humoresque", artist="dvorak", level=5),
    SongFilter(text="humoresque", artist="dvorak", level=6),
]


@clause("BAT-2")
@builds_on("SNG-9", "SNG-11")
def test_which_songs_meet_which_filters(use: StorageUser) -> None:
    """Whether a song meets a filter is what `find` says, for every filter of every song."""
    use.add_songs(
        song("song-1", artist="Dvořák", title="Humoresque"),
        song("song-10", artist="Dvořák", title="Humoresque 2", level=6),
        song("song-2", artist="Humoresque", title="Dvořák"),
        song("song-3", artist="Trad.", title="100%_. sure"),
    )
    pairs = list(product(["song-1", "song-10", "song-2", "song-3", *STRANGE], FILTERS))
    wanted = {
        (each.id, by)
        for by in FILTERS
        for each in use.read(lambda unit, by=by: unit.songs.find(by, limit=10))  # type: ignore[misc]
    }
    assert use.read(lambda unit: batches(unit).meeting(pairs)) == wanted


@clause("BAT-3")
@builds_on("RAT-8", "RAT-9")
@pytest.mark.parametrize("limit", [0, 1, 19, 20, 1000])
def test_many_rated_songs(use: StorageUser, limit: int) -> None:
    """Statistics and first ratings of songs with many, few and no ratings are what is told of each of them alone."""
    ids = [f"song-{n}" for n in range(4)]
    use.add_many([song(each) for each in ids])
    for n in range(41):
        use.rate(
            rating(f"rating-{n * 7 % 41:02d}", song_id="song-1", value=n % 5 + 1, key=f"key-{n}" if n % 3 else None)
        )
    for n in range(20):
        use.rate(rating(f"other-{n:02d}", song_id="song-2", value=1))
    use.rate(rating("last", song_id="song-3"))
    found = use.read(lambda unit: batches(unit).rated([*ids, *STRANGE], limit=limit))
    assert found.keys() == set(ids)
    for each in ids:
        assert found[each].stats == use.stats(each)
        assert found[each].ratings == use.events(each)[:limit]


@clause("BAT-3")
@builds_on("RAT-7")
def test_statistics_and_ratings_of_one_moment(use: StorageUser, rounds: int) -> None:
    """While others rate, the statistics are always those of the ratings beside them."""
    use.add_songs(song())
    use.read(batches)

    def rates() -> None:
        for n in range(20 * rounds):
            use.rate(rating(f"rating-{n:04d}", value=n % 5 + 1))

    def looks() -> None:
        for _ in range(20 * rounds):
            found = use.read(lambda unit: batches(unit).rated(["song-1"], limit=1000))["song-1"]
            assert found.stats == RatingStats.of(each.value for each in found.ratings)

    assert len(returned(race([rates, looks]))) == 2


READS: Final[dict[str, Callable[[Batches, list[str]], object]]] = {
    "songs": lambda found, ids: found.songs(ids),
    "meeting": lambda found, ids: found.meeting([(each, SongFilter(level=5)) for each in ids]),
    "rated": lambda found, ids: found.rated(ids, limit=10),
    "users": lambda found, ids: found.users(ids),
    "users_named": lambda found, ids: found.users_named(ids),
}


@clause("BAT-4")
@pytest.mark.parametrize("name", READS)
def test_how_often_the_backend_is_asked(use: StorageUser, injector: FaultInjector, name: str) -> None:
    """A hundred records take no more calls of the backend than ten."""
    ids = [f"record-{n:03d}" for n in range(MANY)]
    use.add_many([song(each) for each in ids])
    use.add_users(*(user(each) for each in ids[:FEW]))
    few = _calls(use, injector, lambda unit: READS[name](batches(unit), ids[:FEW]))
    many = _calls(use, injector, lambda unit: READS[name](batches(unit), ids))
    assert few == many, f"{few} calls for {FEW} records, {many} for {MANY}"


def _calls(use: StorageUser, injector: FaultInjector, work: Callable[[UnitOfWork], object]) -> int:
    """Return how many calls of its backend a READ unit makes, at most `MOST_CALLS`."""
    for call in range(1, MOST_CALLS + 1):
        injector.fail_at(call, when="before")
        try:
            use.read(work)
        except Exception:  # noqa: BLE001 - whatever it makes of the fault
            reached = True
        else:
            reached = injector.failed
        finally:
            injector.heal()
        if not reached:
            return call - 1
    return MOST_CALLS
