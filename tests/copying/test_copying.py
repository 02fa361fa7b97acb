"""A copy holds what the source holds, can be interrupted anywhere, and never touches a target with other data."""

from collections.abc import Callable
from functools import partial
from itertools import chain, repeat
from typing import Any

import pytest

from songs.caching.coherence import Coherence
from songs.errors import StorageUnavailable, TransientConflict
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.tools import comparing, copying
from songs.tools.comparing import PAGE, RATINGS_PAGE, Tally
from songs.tools.copying import CopyInterrupted, Stage, TargetNotACopy
from songs_memory.cache import MemoryCache

EVERYTHING = Tally(songs=5, ratings=6, users=3)


@pytest.mark.parametrize("transactions", [True, False])
def test_a_copy_is_equal(pair: Any, make: Any, transactions: bool) -> None:
    """Songs with their versions, users with their roles and states, ratings with ids, times and keys; page by page."""
    make.fill(pair.source, songs=PAGE + 3, ratings=2 * RATINGS_PAGE + 1, users=PAGE + 2)

    report = pair.copier(transactions=transactions).run()

    assert pair.target.dump() == pair.source.dump()
    assert report.added == Tally(PAGE + 3, 2 * RATINGS_PAGE + 4, PAGE + 2)
    assert (report.found, report.verified.holds) == (Tally(), True)
    assert (report.verified.equal, report.verified.levels) == (report.added, 7)
    assert (Scope.WRITE_MANY in pair.target.scopes) is transactions


def test_the_source_is_only_read(small: Any) -> None:
    """Not one unit of the source may write."""
    small.copier().run()

    assert set(small.source.scopes) == {Scope.READ}


def test_keys_stay_used(small: Any, make: Any) -> None:
    """A client that repeats a request after the move is answered with the rating that it gave before."""
    small.copier().run()
    receipts = []

    small.target.do(lambda unit: receipts.append(unit.ratings.add(make.rating(1, id="another"))))

    assert receipts[0].rating_id == make.rating(1).id


def test_a_second_copy_changes_nothing(small: Any) -> None:
    """It finds everything, adds nothing, and verifies again."""
    small.copier().run()
    before = small.target.dump()

    report = small.copier().run()

    assert (report.found, report.added, report.verified.holds) == (EVERYTHING, Tally(), True)
    assert small.target.dump() == before


def test_what_came_later_is_added(small: Any, make: Any) -> None:
    """Songs, users and ratings that the source has gained since."""
    small.copier().run()
    small.source.do(
        lambda unit: unit.songs.add(make.song(77)),
        lambda unit: unit.users.add(make.user(77)),
        lambda unit: unit.ratings.add(make.rating(77)),
        lambda unit: unit.ratings.add(make.rating(78, make.song(2).id)),
    )

    report = small.copier().run()

    assert (report.added, report.verified.holds) == (Tally(1, 2, 1), True)
    assert small.target.dump() == small.source.dump()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records at a time, so that a small copy takes many units."""
    for module, names in ((comparing, ("PAGE", "RATINGS_PAGE", "SONGS_AT_ONCE")), (copying, ("SONGS_AT_ONCE",))):
        for name in names:
            monkeypatch.setattr(module, name, 2)
    monkeypatch.setattr(copying, "RATINGS_AT_ONCE", 2)


@pytest.mark.parametrize("transactions", [True, False])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_copy_that_was_interrupted_goes_on(small: Any, small_pages: None, transactions: bool, side: str) -> None:
    """Wherever a storage gives up, running the copy again adds exactly what is missing."""
    told = []
    for units in range(1, 100):
        getattr(small, side).fail = chain(repeat(None, units), [StorageUnavailable("It is gone.")], repeat(None))
        try:
            report = small.copier(transactions=transactions).run()
        except (CopyInterrupted, StorageUnavailable) as error:
            told.append(str(error))
        else:
            break
    else:
        pytest.fail("it never came to an end")

    name = {"source": "old", "target": "new"}[side]
    assert len(told) > 10
    assert [line for line in told if f"The storage {name!r} gave up: It is gone." not in line] == []
    assert (report.added, report.verified.equal, report.verified.holds) == (Tally(), EVERYTHING, True)
    assert small.target.dump() == small.source.dump()


def test_an_interrupted_copy_says_how_far_it_came(small: Any) -> None:
    """What was added until then, why it stopped, and that running it again completes it."""
    small.target.fail = (StorageUnavailable() if Scope.WRITE_ONE in small.target.scopes else None for _ in repeat(0))

    with pytest.raises(
        CopyInterrupted, match=r"while copying, with 0 songs, 0 ratings, 1 users added: .* Run it again"
    ):
        small.copier().run()


def test_before_anything_is_written_the_error_says_so(small: Any) -> None:
    """A target that does not answer the check is no interrupted copy."""
    small.target.fail = iter([StorageUnavailable()])

    with pytest.raises(StorageUnavailable, match="'new' gave up"):
        small.copier().run()


def test_conflicts_are_outlasted(small: Any) -> None:
    """Other writers in the way do not end a copy."""
    small.target.fail = iter([TransientConflict(), None] * 20)

    assert small.copier().run().verified.holds


FOREIGN: dict[str, Callable[[Any], tuple[Any, str]]] = {
    "song": lambda make: (lambda unit: unit.songs.add(make.song(50)), "the song song-0050 is in the storage 'new'"),
    "song-of-a-source's-identity": lambda make: (
        lambda unit: unit.songs.add(make.song(0, song_id="song-9999")),
        "the song song-9999 is in the storage 'new' and not in the source",
    ),
    "song-of-another-level": lambda make: (
        lambda unit: unit.songs.add(make.song(1, level=9)),
        r"the song song-0001 of the storage 'new' is not equal to the source's \(version 2 there, version 2 in",
    ),
    "song-of-another-version": lambda make: (
        lambda unit: unit.songs.add(make.song(1, version=1)),
        r"song-0001 .* not equal to the source's \(version 1 there, version 2 in the source\)",
    ),
    "user": lambda make: (lambda unit: unit.users.add(make.user(50)), "the user user-0050 is in the storage 'new'"),
    "user-of-another-role": lambda make: (
        lambda unit: unit.users.add(make.user(1, role=make.user(0).role)),
        "the user user-0001 of the storage 'new' is not equal",
    ),
    "user-of-another-password": lambda make: (
        lambda unit: unit.users.add(make.user(2, password_hash="another")),
        "the user user-0002 of the storage 'new' is not equal",
    ),
    "rating": lambda make: (
        lambda unit: unit.ratings.add(make.rating(50)),
        "the rating rating-0050 is in the storage 'new' and not in the source",
    ),
    "rating-of-another-value": lambda make: (
        lambda unit: unit.ratings.add(make.rating(0, value=5)),
        "the rating rating-0000 of the storage 'new' is not equal to the source's;",
    ),
    "rating-of-another-time": lambda make: (
        lambda unit: unit.ratings.add(make.rating(0, rated_at=make.user(7).created_at)),
        "the rating rating-0000 of the storage 'new' is not equal",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_target_with_other_data_is_refused(small: Any, make: Any, kind: str) -> None:
    """Whatever it is that the source does not hold, nothing is written, and it is named without a secret."""
    work, told = FOREIGN[kind](make)
    if kind.startswith("rating"):
        small.target.do(lambda unit: unit.songs.add(make.song(0)))
    small.target.do(work)
    before = small.target.dump()

    with pytest.raises(TargetNotACopy, match=told) as caught:
        small.copier().run()

    assert small.target.dump() == before
    assert set(small.target.scopes) == {Scope.READ}
    assert "hash" not in str(caught.value)
    assert "another" not in str(caught.value)


def test_nothing_cached_outlives_a_copy(small: Any) -> None:
    """The target's epoch passes its own and the source's, so that no entry of a shared cache fits it."""
    for place, epochs in ((small.source, 4), (small.target, 2)):
        for epoch in range(1, epochs):
            place.do(lambda unit, at=epoch: unit.coherence.advance(expected_epoch=at, cache_on=at % 2 == 0))
    before = small.source.coherence()

    small.copier().run()

    assert (small.target.coherence().epoch, small.target.coherence().cache_on) == (5, False)
    assert small.source.coherence() == before


@pytest.mark.parametrize("interrupted", [False, True], ids=["complete", "interrupted"])
def test_a_copy_into_a_storage_that_is_served(small: Any, interrupted: bool) -> None:
    """Whoever serves the target shows nothing of before, once the copy has ended, whichever way it did."""
    clock, runner = small.target.clock, small.target.runner()
    cache = MemoryCache(clock, max_bytes=100_000)
    cache.open()
    service = Coherence(cache, runner, clock, announce_s=0.0)

    def read() -> bytes:
        deadline = Deadline.after(clock, 5)
        count = partial(runner.read, lambda unit: unit.songs.count(SongFilter()), deadline=deadline)
        return service.fetch("songs", "count", lambda: b"%d" % count(), deadline=deadline)

    assert [read() for _ in range(2)] == [b"0"] * 2
    if interrupted:
        # The source answers until the first songs have been copied.
        small.source.fail = (StorageUnavailable() if small.target.dump().songs else None for _ in repeat(0))
        with pytest.raises(CopyInterrupted):
            small.copier().run()
    else:
        small.copier().run()
    assert small.target.dump().songs
    assert read() == b"%d" % len(small.target.dump().songs)


def test_progress_is_told(small: Any) -> None:
    """Stage by stage, how many records were dealt with."""
    told: list[tuple[Stage, str]] = []

    small.copier().run(lambda stage, tally: told.append((stage, str(tally))))

    assert list(dict.fromkeys(stage for stage, _ in told)) == list(Stage)
    assert told[-1] == (Stage.VERIFYING, "5 songs, 6 ratings, 3 users")
