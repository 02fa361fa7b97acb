"""Limits from nothing to more than there is, many of a thing, and numbers that are exact however large they are."""

from datetime import timedelta
from functools import partial
from typing import Final

import pytest

from songs.limits import MAX_DIFFICULTY_MILLI
from songs.model import DifficultyTotals, RatingStats
from songs.ports.batches import BatchingUnit
from songs.ports.sessions import Rotation
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter
from songs_contract.harness.driver import StorageUser, add_session, add_user
from songs_contract.harness.session import ContractSession
from songs_contract.harness.subject import Subject
from songs_contract.law import builds_on, clause, requires
from songs_contract.models.samples import EVERYTHING, LATER, NOW, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

FILTERS: Final = (EVERYTHING, SongFilter(level=5), SongFilter(artist="trad."), SongFilter(text="title"))
HUGE: Final = (2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30)
BATCH: Final = 1000
ENDED_WITH_USER: Final = 100
"""How many sessions go with their user, as USR-6 says."""


def many(subject: Subject) -> int:
    """Return how many records are many: more than a page of any driver, as far as storing them takes no time."""
    return 1_200 if subject.declares("transactions") else 130


@clause("STO-24")
@builds_on("SNG-9", "SNG-11")
def test_a_limit_of_nothing(use: StorageUser) -> None:
    """Nothing is returned and nothing removed, whatever is asked for."""
    use.add_songs(song())
    use.rate(rating())
    use.add_users(user())
    use.add_sessions(session())

    def look(unit: UnitOfWork) -> None:
        for song_filter in FILTERS:
            assert unit.songs.find(song_filter, limit=0) == ()
            assert unit.songs.find(song_filter, limit=0, after_id="", offset=0) == ()
        assert unit.ratings.of_song("song-1", limit=0) == ()
        assert unit.users.find(limit=0) == ()
        if isinstance(unit, BatchingUnit):
            assert unit.batches.rated(["song-1"], limit=0)["song-1"].ratings == ()

    use.read(look)
    assert use.write(lambda unit: unit.sessions.delete_of_user("user-1", limit=0)) == 0
    assert use.write(lambda unit: unit.sessions.delete_expired(at=session().expires_at, limit=0)) == 0
    assert use.session() == session()


@clause("STO-24")
@builds_on("SNG-9", "SNG-11")
@pytest.mark.parametrize("number", HUGE)
def test_a_limit_beyond_all(use: StorageUser, number: int) -> None:
    """A limit that no column holds returns or removes all there is, and such an offset leaves nothing."""
    use.add_songs(song())
    use.rate(rating())
    use.add_users(user())
    use.add_sessions(session("session-1"), session("session-2", user_id="other"))

    def look(unit: UnitOfWork) -> None:
        for song_filter in FILTERS:
            assert unit.songs.find(song_filter, limit=number) == (song(),)
            assert unit.songs.find(song_filter, limit=number, offset=number) == ()
        assert unit.ratings.of_song("song-1", limit=number) == (rating(),)
        assert unit.users.find(limit=number) == (user(),)
        if isinstance(unit, BatchingUnit):
            assert unit.batches.rated(["song-1"], limit=number)["song-1"].ratings == (rating(),)

    use.read(look)
    assert use.write(lambda unit: unit.sessions.delete_of_user("user-1", limit=number)) == 1
    assert use.write(lambda unit: unit.sessions.delete_expired(at=session().expires_at, limit=number)) == 1


@clause("STO-24", "SNG-12")
@builds_on("SNG-9")
def test_many_songs(use: StorageUser, contract: ContractSession) -> None:
    """All of them are listed, counted, skipped and identified; sums have no rounding."""
    # With `--thorough` more than two bytes count, and a sum beyond four.
    number = 66_000 if contract.thorough else 1_100
    songs = [song(f"song-{n:05d}", level=n % 2, difficulty_milli=MAX_DIFFICULTY_MILLI - n % 7) for n in range(number)]
    for n in range(0, number, BATCH):
        assert use.add_many(songs[n : n + BATCH]) == frozenset()
    assert use.page(limit=number + 1) == tuple(songs)
    assert use.page(limit=50, offset=number - 30) == tuple(songs[-30:])
    for level in (None, 0, 1):
        chosen = [each for each in songs if level in (None, each.level)]
        assert use.count(SongFilter(level=level)) == len(chosen)
        totals = use.read(lambda unit, level=level: unit.songs.difficulty_totals(level))  # type: ignore[misc]
        assert totals == DifficultyTotals(len(chosen), sum(each.difficulty_milli for each in chosen))
        found = use.page(SongFilter(level=level, text="title"), limit=number)
        assert [each.id for each in found] == [each.id for each in chosen]
    assert use.count(SongFilter(text="title")) == number


@clause("STO-24", "USR-7")
def test_many_users(use: StorageUser, subject: Subject) -> None:
    """All of them are listed, however many are asked for at a time."""
    users = [user(f"user-{n:04d}") for n in range(many(subject))]
    use.write_each([partial(add_user, each) for each in users])
    for limit in (len(users) - 1, len(users), len(users) + 1):
        assert use.read(lambda unit, limit=limit: unit.users.find(limit=limit)) == tuple(users[:limit])  # type: ignore[misc]


@clause("STO-24", "SES-7", "SES-8", "USR-6")
def test_many_sessions(use: StorageUser, subject: Subject) -> None:
    """As many are removed as were asked for; fewer are the last; a user goes with 100 of them, and with more."""
    number = many(subject)
    use.write_each([partial(add_user, user(each)) for each in ("few", "some")])
    owners = ["few"] * ENDED_WITH_USER + ["some"] * (number - ENDED_WITH_USER)
    of_users = [session(f"session-{n:04d}", user_id=each) for n, each in enumerate(owners)]
    expired = [session(f"expired-{n:04d}", user_id="nobody", expires_at=NOW) for n in range(number)]
    use.write_each([partial(add_session, each) for each in (*of_users, *expired)])
    removals = [
        use.write(lambda unit, limit=limit: unit.sessions.delete_expired(at=NOW, limit=limit))  # type: ignore[misc]
        for limit in (number - 9, 10, 10)
    ]
    assert removals == [number - 9, 9, 0]
    assert use.delete_user("few")
    assert use.delete_user("some")
    left = use.read(lambda unit: [unit.sessions.get(each.id) for each in of_users])
    assert left[:ENDED_WITH_USER] == [None] * ENDED_WITH_USER
    assert (use.users(), use.user_named("some")) == ((), None)
    more = sum(each is not None for each in left)
    removals = [
        use.write(lambda unit: unit.sessions.delete_of_user("some", limit=number)),
        use.write(lambda unit: unit.sessions.delete_of_user("some", limit=number)),
    ]
    assert removals == [more, 0]
    use.write_each([partial(add_session, each) for each in of_users[ENDED_WITH_USER:]])
    assert use.write(lambda unit: unit.sessions.delete_of_user("some", limit=2 * number)) == number - ENDED_WITH_USER


@clause("STO-24", "RAT-8")
@requires("transactions")
def test_many_ratings(use: StorageUser, contract: ContractSession) -> None:
    """Counters go on where two bytes end, with `--thorough`; else where one does, in the receipt as well."""
    number = 66_000 if contract.thorough else 300
    use.add_songs(song())

    def rate(unit: UnitOfWork) -> list[RatingStats]:
        return [unit.ratings.add(rating(f"rating-{n:05d}", value=3)).stats for n in range(number)]

    assert use.many(rate) == [RatingStats((0, 0, n, 0, 0)) for n in range(1, number + 1)]
    assert use.stats() == RatingStats((0, 0, number, 0, 0))
    assert len(use.events()) == number


@clause("STO-24", "USR-1", "SNG-1")
def test_versions_without_end(use: StorageUser) -> None:
    """Versions go on where four bytes end, and beyond what a float counts one by one."""
    for n, version in enumerate([2**31 - 1, 2**31, 2**32 - 1, 2**53 - 1]):
        use.add_songs(song(f"song-{n}", version=version))
        use.add_users(user(f"user-{n}", version=version, token_version=version))
        changed = user(f"user-{n}", version=version + 1, token_version=version, disabled=True)
        use.replace_user(changed)
        use.replace_song(song(f"song-{n}", version=version + 1, level=9))
        assert (use.song(f"song-{n}"), use.user(f"user-{n}")) == (
            song(f"song-{n}", version=version + 1, level=9),
            changed,
        )


@clause("SES-3", "SES-4")
@pytest.mark.parametrize("grace_ms", [0, 1, 500, 1_500])
def test_the_grace_time_is_exact(use: StorageUser, grace_ms: int) -> None:
    """It ends with its last millisecond, a whole number of seconds or not, and there may be none at all."""
    for n, (late, expected) in enumerate([(0, Rotation.RETRIED), (1, Rotation.REUSED)]):
        use.add_sessions(session(f"session-{n}"))
        use.rotate("hash-1", "hash-2", session_id=f"session-{n}")
        at = LATER + timedelta(milliseconds=grace_ms + late)
        rotation = use.write(
            lambda unit, n=n, at=at: unit.sessions.rotate(  # type: ignore[misc]
                f"session-{n}", presented_hash="hash-1", next_hash="x", at=at, grace_s=grace_ms / 1000
            )
        )
        assert rotation is expected
