"""The verification notices what changed meanwhile, and a storage that does not keep what it was given."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from songs.model import DifficultyTotals, RatingStats
from songs.ports.ratings import RatingReceipt
from songs.tools.copying import Stage

Work = Callable[[Any], Any]


def _run_with_change(pair: Any, place: str, *works: Work) -> Any:
    """Copy, while `place` changes as soon as everything was copied."""
    changed = False

    def change(stage: Stage, _tally: object) -> None:
        nonlocal changed
        if stage is Stage.VERIFYING and not changed:
            changed = True
            getattr(pair, place).do(*works)

    return pair.copier().run(change).verified


def test_what_the_source_gained_is_missing(small: Any, make: Any) -> None:
    """Each is told, nothing else is wrong, and running the copy again mends it."""
    found = _run_with_change(
        small,
        "source",
        lambda unit: unit.songs.add(make.song(77)),
        lambda unit: unit.users.add(make.user(77)),
        lambda unit: unit.ratings.add(make.rating(77, make.song(2).id, value=5)),
    )

    values = "ratings of 1/2/3/4/5"
    assert found.missing == [
        "the user user-0077 is in the source and not in the storage 'new'",
        "the song song-0077 is in the source and not in the storage 'new'",
        f"the song song-0002 has 0/0/0/0/1 {values} in the source, and 0/0/0/0/0 {values} in the storage 'new'",
    ]
    assert (found.different, found.holds) == ([], False)
    assert small.copier().run().verified.holds


@pytest.mark.parametrize("place", ["source", "target"])
def test_a_change_is_a_difference(small: Any, make: Any, place: str) -> None:
    """What was changed or deleted on either side is no matter of running the copy again."""
    found = _run_with_change(
        small,
        place,
        lambda unit: unit.songs.replace(make.song(2, level=90, version=4), if_version=3),
        lambda unit: unit.users.replace(make.user(1, disabled=True, version=3), if_version=2),
    )

    assert len(found.different) == 2
    assert (found.missing, found.holds) == ([], False)


def test_a_deletion_in_the_source_is_a_difference(small: Any, make: Any) -> None:
    """The target keeps what the source has no longer, and that is told."""
    found = _run_with_change(
        small,
        "source",
        lambda unit: unit.songs.delete(make.song(2).id),
        lambda unit: unit.users.delete(make.user(1).id),
    )

    assert found.different == [
        "the user user-0001 is in the storage 'new' and not in the source",
        "the song song-0002 is in the storage 'new' and not in the source",
    ]


def test_a_rating_in_the_target_is_a_difference(small: Any, make: Any) -> None:
    """A target that was served already has other statistics."""
    found = _run_with_change(small, "target", lambda unit: unit.ratings.add(make.rating(77)))

    assert (len(found.different), found.missing) == (1, [])


def test_a_target_that_changes_meanwhile_is_noticed(small: Any, make: Any) -> None:
    """Names, identities and keys that others take while the copy runs do not end it, and are told at the end."""
    taken = False

    def take(stage: Stage, _tally: object) -> None:
        nonlocal taken
        if stage is Stage.COPYING and not taken:
            taken = True
            small.target.do(
                lambda unit: unit.users.add(make.user(1, id="user-x")),
                lambda unit: unit.songs.add(make.song(4, song_id="song-x")),
                lambda unit: unit.songs.add(make.song(0)),
                lambda unit: unit.ratings.add(make.rating(1, id="rating-x", value=5)),
            )

    found = small.copier().run(take).verified

    told = "\n".join(found.missing + found.different)
    for name in ("user-0001", "user-x", "song-0004", "song-x", "song-0000"):
        assert name in told


def test_another_song_gets_no_ratings(small: Any, make: Any, bend: Any) -> None:
    """A song that takes a source's id in the target, before the copy comes to it or just then, stays as it is."""
    other = make.song(4, title="Another")

    def take(stage: Stage, _tally: object) -> None:
        if stage is Stage.COPYING:
            small.target.do(lambda unit: unit.songs.add(make.song(0, title="One more")))

    def just_then(songs: Any, many: Any) -> Any:
        songs.add(other)
        return frozenset(song.id for song in many)

    small.target.cheat = bend("songs", lambda songs: {"add_many": lambda many: just_then(songs, many)})
    found = small.copier().run(take).verified

    assert not found.holds
    assert [stats.count for stats in small.target.dump().stats] == [0, 0]


def _off_by_one(totals: DifficultyTotals) -> DifficultyTotals:
    return replace(totals, sum_milli=totals.sum_milli + 1)


CHEATS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "new-versions": (
        "songs",
        lambda songs: {"add_many": lambda many: songs.add_many([replace(song, version=1) for song in many])},
    ),
    "songs-are-lost": ("songs", lambda songs: {"add_many": lambda many: songs.add_many(many[1:])}),
    "ratings-are-lost": (
        "ratings",
        lambda _ratings: {"add": lambda rating: RatingReceipt(RatingStats.of([rating.value]), rating.id)},
    ),
    "all-may-sign-in": ("users", lambda users: {"add": lambda user: users.add(replace(user, disabled=False))}),
    "tokens-are-good-again": ("users", lambda users: {"add": lambda user: users.add(replace(user, token_version=1))}),
    "wrong-stats": ("ratings", lambda _ratings: {"stats": lambda _song_id: RatingStats((1, 0, 0, 0, 0))}),
    "wrong-count": ("songs", lambda _songs: {"count": lambda _song_filter: 4}),
    "wrong-total": (
        "songs",
        lambda songs: {"difficulty_totals": lambda level=None: _off_by_one(songs.difficulty_totals(level))},
    ),
    "wrong-total-of-a-level": (
        "songs",
        lambda songs: {
            "difficulty_totals": lambda level=None: (
                _off_by_one(songs.difficulty_totals(level)) if level == 1 else songs.difficulty_totals(level)
            )
        },
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_storage_that_does_not_keep_what_it_was_given_is_noticed(small: Any, bend: Any, cheat: str) -> None:
    """Versions, users, statistics, counts and totals are looked at, not believed."""
    small.target.cheat = bend(*CHEATS[cheat])

    assert not small.copier().run().verified.holds
