"""Threads that do the same thing at the same moment."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest

from songs.errors import (
    DuplicateSong,
    KeyReused,
    ScopeViolation,
    SongNotFound,
    SongsError,
    UserExists,
    VersionConflict,
)
from songs.model import RatingStats
from songs.ports.sessions import Rotation
from songs.ports.storage import Scope, Storage, UnitOfWork
from songs_contract.harness.driver import StorageUser, each_of, race, returned, until_no_conflict
from songs_contract.harness.subject import Subject
from songs_contract.law import builds_on, clause, requires
from songs_contract.models.samples import NOW, next_version, rating, session, song, user
from songs_plugins import Port

PORT = Port.STORAGE

THREADS = 8


def kinds(outcomes: Sequence[object]) -> Counter[str]:
    """Count outcomes by what they are: an error's class, or "ok"."""
    return Counter(type(each).__name__ if isinstance(each, Exception) else "ok" for each in outcomes)


@clause("STO-3", "RAT-7")
def test_ratings_of_one_song(use: StorageUser) -> None:
    """Ratings from many threads are all counted, each once; readers see only states in which all agrees."""
    use.add_songs(song())
    per_thread = 25

    def write(thread: int) -> None:
        for n in range(per_thread):
            each = rating(f"rating-{thread}-{n:03d}", value=(thread + n) % 5 + 1)
            until_no_conflict(partial(use.rate, each))

    def watch() -> int:
        last = 0
        for _ in range(per_thread):
            stats = use.stats()
            assert stats is not None
            assert stats.count >= last, "a count went back"
            last = stats.count
        return last

    writers: list[Callable[[], object]] = [partial(write, thread) for thread in range(THREADS)]
    outcomes = race([*writers, watch, watch])
    assert [each for each in outcomes if isinstance(each, BaseException)] == []
    expected = RatingStats.of((t + n) % 5 + 1 for t in range(THREADS) for n in range(per_thread))
    assert use.stats() == expected
    assert RatingStats.of(event.value for event in use.events()) == expected


@clause("STO-3")
@builds_on("RAT-1")
def test_units_have_a_scope_each(use: StorageUser, storage: Storage, subject: Subject) -> None:
    """What one thread may do in its unit does not follow from what another began later."""
    use.add_songs(song())

    def write() -> None:
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=subject.deadline(0.2)) as unit:
            unit.ratings.add(rating())

    with storage.unit_of_work(Scope.READ, deadline=subject.deadline()) as unit:
        # Where writers wait for readers it ends with an error, which is no matter here.
        race([write])
        with pytest.raises(ScopeViolation):
            unit.songs.delete("song-1")
    assert use.song() == song()


@clause("STO-8", "RAT-8")
@requires("snapshot_reads")
def test_readers_see_whole_ratings(use: StorageUser) -> None:
    """Within one READ unit the statistics are exactly those of the events, while ratings come in."""
    use.add_songs(song())

    def write() -> None:
        for n in range(60):
            each = rating(f"rating-{n:03d}", value=n % 5 + 1)
            until_no_conflict(partial(use.rate, each))

    def watch() -> None:
        for _ in range(40):
            stats, events = use.read(
                lambda unit: (unit.ratings.stats("song-1"), unit.ratings.of_song("song-1", limit=1000))
            )
            assert stats == RatingStats.of(event.value for event in events)

    assert race([write, watch, watch]) == [None] * 3


@clause("RAT-4")
def test_one_key_from_many_threads(use: StorageUser, rounds: int) -> None:
    """One thread stores its rating, the others are told which; it is counted once."""
    use.add_songs(song())
    for r in range(rounds):
        ratings = [rating(f"rating-{r}-{n}", key=f"key-{r}") for n in range(THREADS)]
        outcomes = race(each_of(use.rate, ratings))
        assert kinds(outcomes) == {"ok": THREADS}, outcomes
        assert len({receipt.rating_id for receipt in returned(outcomes)}) == 1
        assert len(use.events()) == r + 1
        stats = use.stats()
        assert stats is not None
        assert stats.count == r + 1


@clause("RAT-4")
def test_one_key_for_two_songs(use: StorageUser, rounds: int) -> None:
    """When one key is used for two songs at once, one song gets its rating and the others are refused."""
    use.add_songs(song("song-1"), song("song-2"))
    for r in range(rounds):
        ratings = [rating(f"rating-{r}-{n}", song_id=f"song-{n % 2 + 1}", key=f"key-{r}") for n in range(THREADS)]
        outcomes = race(each_of(use.rate, ratings))
        assert kinds(outcomes) == {"ok": THREADS // 2, KeyReused.__name__: THREADS // 2}, outcomes
        assert len(use.events("song-1")) + len(use.events("song-2")) == r + 1


@clause("RAT-2", "SNG-8")
def test_rating_a_song_while_it_is_deleted(use: StorageUser, rounds: int) -> None:
    """However the two race, no rating and no key outlives its song."""
    for r in range(2 * rounds):
        use.add_songs(song())
        ratings = [rating(f"rating-{r}-{n}", key=f"key-{n}") for n in range(4)]
        outcomes = race([*each_of(use.rate, ratings), *each_of(use.delete_song, ["song-1"])])
        assert set(kinds(outcomes)) <= {"ok", SongNotFound.__name__}, outcomes
        assert (use.song(), use.stats(), use.events()) == (None, None, ())
        use.add_songs(song())
        assert (use.stats(), use.events()) == (RatingStats(), ())
        for n in range(4):
            each = rating(f"rating-{r}-again-{n}", key=f"key-{n}")
            assert use.rate(each).rating_id == each.id
        use.delete_song()


@clause("SNG-3", "SNG-5")
@builds_on("SNG-9")
def test_one_identity_from_many_threads(use: StorageUser, rounds: int) -> None:
    """One of many songs with one identity is stored, whether it comes alone or in a batch."""
    for r in range(rounds):

        def add(n: int, r: int = r) -> None:
            each = song(f"song-{r}-{n}", title=f"T{r}")
            if n % 2:
                use.add_songs(each)
            elif use.add_many([each]):
                raise DuplicateSong

        outcomes = race(each_of(add, range(THREADS)))
        assert kinds(outcomes) == {"ok": 1, DuplicateSong.__name__: THREADS - 1}, outcomes
        assert len(use.find()) == r + 1


@clause("STO-4", "SNG-3")
@builds_on("SNG-9")
def test_units_that_fail_beside_others(use: StorageUser, rounds: int) -> None:
    """A unit that fails takes no other unit along, and no song is refused because of one that is not stored.

    Of two songs with one identity one is added by a unit that fails afterwards. Whether that is kept or undone, one of
    both is stored: the other is acknowledged, or refused because of it.
    """
    failure = ZeroDivisionError()
    for r in range(2 * rounds):

        def add(n: int, r: int = r) -> None:
            def work(unit: UnitOfWork) -> None:
                unit.songs.add(song(f"song-{r}-{n}", title=f"T{r}-{n // 2}"))
                if n % 2:
                    raise failure

            until_no_conflict(partial(use.write, work))

        outcomes = race(each_of(add, range(THREADS)))
        stored = set(use.find())
        for n in range(0, THREADS, 2):
            added, failed = (f"song-{r}-{each}" in stored for each in (n, n + 1))
            assert added != failed, "neither of two songs is stored, or both are"
            assert added == (outcomes[n] is None), outcomes[n]
            assert outcomes[n + 1] is failure or (added and isinstance(outcomes[n + 1], DuplicateSong)), outcomes[n + 1]


@clause("SNG-6")
def test_one_version_from_many_threads(use: StorageUser, rounds: int) -> None:
    """Of many changes to one version, one succeeds; none is lost without its writer being told."""
    use.add_songs(song())
    before = song()
    for r in range(rounds):
        outcomes = race(each_of(use.replace_song, [next_version(before, level=n) for n in range(THREADS)]))
        assert kinds(outcomes) == {"ok": 1, VersionConflict.__name__: THREADS - 1}, outcomes
        stored = use.song()
        assert stored == next_version(before, level=outcomes.index(None))
        assert stored is not None
        assert stored.version == r + 2
        before = stored


@clause("USR-2")
def test_one_name_from_many_threads(use: StorageUser, rounds: int) -> None:
    """Of many users with one name, in any case, one is stored."""
    for r in range(rounds):
        users = [user(f"user-{r}-{n}", name=f"{'Ada' if n % 2 else 'ADA'}{r}") for n in range(THREADS)]
        outcomes = race(each_of(use.add_users, users))
        assert kinds(outcomes) == {"ok": 1, UserExists.__name__: THREADS - 1}, outcomes
        assert len(use.users()) == r + 1


@clause("SES-2")
def test_one_token_from_many_threads(use: StorageUser, rounds: int) -> None:
    """A refresh token is good once: of many rotations of it one succeeds, and the session lives on."""
    use.add_sessions(session())
    current = "hash-1"
    for r in range(rounds):
        at = NOW + timedelta(minutes=r + 1)
        following = [f"hash-{r}-{n}" for n in range(THREADS)]
        outcomes = race(each_of(partial(use.rotate, current, at=at), following))
        assert Counter(outcomes) == {Rotation.ROTATED: 1, Rotation.RETRIED: THREADS - 1}, outcomes
        found = use.session()
        assert found is not None
        current = following[outcomes.index(Rotation.ROTATED)]
        assert found.current_hash == current


@clause("STO-15")
def test_conflicts_are_worth_a_retry(use: StorageUser, subject: Subject) -> None:
    """Whatever a storage raises when writers meet is a conflict that goes away, or an error that a client may see."""
    use.add_songs(song())

    def change(n: int) -> None:
        before = use.song()
        assert before is not None
        use.replace_song(next_version(before, level=n))

    outcomes = race(each_of(change, range(THREADS)))
    permitted = (VersionConflict,)
    wrong = [e for e in outcomes if isinstance(e, Exception) and not isinstance(e, permitted)]
    assert wrong == []
    assert not any(isinstance(e, SongsError) and e.code == "internal" for e in outcomes)
    totals = use.read(lambda unit: unit.songs.difficulty_totals())
    assert totals.count == 1
    stored = use.song()
    assert stored is not None
    assert stored.version == 1 + outcomes.count(None), "kept, though it was called a conflict"
