"""The commands that each operation sends."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest

from songs.deadline import Deadline
from songs.model import Rating, RatingStats, Session, Song, User
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs_mongo import MongoStorage

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2027, 1, 1, tzinfo=UTC)
USER = User(id="U1", name="someone", password_hash="x", created_at=NOW)
RENEWED = User(id="U1", name="someone", password_hash="y", created_at=NOW, version=2)
SESSION = Session(id="T1", user_id="U1", current_hash="a", created_at=NOW, rotated_at=NOW, expires_at=LATER)

READS: dict[str, tuple[Callable[[UnitOfWork], object], list[str]]] = {
    "songs.get": (lambda unit: unit.songs.get("S1"), ["find songs"]),
    "songs.identify": (lambda unit: unit.songs.identify([]), []),
    "songs.find": (lambda unit: unit.songs.find(SongFilter(), limit=9, after_id="S0"), ["find songs"]),
    "songs.find short text": (lambda unit: unit.songs.find(SongFilter(text="so"), limit=9), ["find songs"]),
    "songs.count": (lambda unit: unit.songs.count(SongFilter()), ["aggregate songs"]),
    "songs.difficulty_totals": (lambda unit: unit.songs.difficulty_totals(3), ["aggregate songs"]),
    "ratings.stats": (lambda unit: unit.ratings.stats("S1"), ["find songs"]),
    "ratings.of_song": (lambda unit: unit.ratings.of_song("S1", limit=9), ["find songs", "find ratings"]),
    "users.get": (lambda unit: unit.users.get("U1"), ["find users"]),
    "users.by_name": (lambda unit: unit.users.by_name("Someone"), ["find users"]),
    "users.find": (lambda unit: unit.users.find(limit=9), ["find users"]),
    "sessions.get": (lambda unit: unit.sessions.get("T1"), ["find sessions"]),
    "coherence.read": (lambda unit: unit.coherence.read(), ["find meta"]),
}
WRITES: dict[str, tuple[Callable[[UnitOfWork], object], list[str]]] = {
    "songs.delete": (
        lambda unit: unit.songs.delete("S1"),
        ["findAndModify songs", "find ratings", "find claims"],
    ),
    "users.add": (
        lambda unit: unit.users.add(User(id="U2", name="other", password_hash="x", created_at=NOW)),
        ["insert users"],
    ),
    "users.replace": (lambda unit: unit.users.replace(RENEWED, if_version=1), ["update users"]),
    "users.delete": (lambda unit: unit.users.delete("U1"), ["delete sessions", "delete users", "delete sessions"]),
    "sessions.add": (lambda unit: unit.sessions.add(SESSION), ["insert sessions"]),
    "sessions.rotate": (
        lambda unit: unit.sessions.rotate("T0", presented_hash="a", next_hash="b", at=NOW, grace_s=9),
        ["update sessions"],
    ),
    "sessions.delete": (lambda unit: unit.sessions.delete("T0"), ["delete sessions"]),
    "coherence.advance": (
        lambda unit: unit.coherence.advance(expected_epoch=1, cache_on=False),
        ["findAndModify meta"],
    ),
}


@pytest.fixture
def unit(storage: MongoStorage, deadline: Callable[[float], Deadline]) -> Units:
    """Begins a unit of work of `storage` that has 5 seconds."""
    return lambda scope: storage.unit_of_work(scope, deadline=deadline(5))


@pytest.fixture
def rate(unit: Units) -> Callable[[Rating], RatingStats]:
    """Stores a rating."""

    def add(rating: Rating) -> RatingStats:
        with unit(Scope.WRITE_ONE) as opened:
            return opened.ratings.add(rating).stats

    return add


@pytest.fixture
def filled(unit: Units, song: Callable[..., Song], commands: Any) -> list[str]:
    """Two songs, a user and a session; the commands that are sent from now on."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song("S1"), song("S2")])
    with unit(Scope.WRITE_ONE) as opened:
        opened.users.add(USER)
    with unit(Scope.WRITE_ONE) as opened:
        opened.sessions.add(
            Session(id="T0", user_id="U1", current_hash="a", created_at=NOW, rotated_at=NOW, expires_at=LATER)
        )
    sent: list[str] = commands.sent
    sent.clear()
    return sent


@pytest.mark.parametrize("name", READS)
def test_a_read_sends_these_commands(name: str, filled: list[str], unit: Units) -> None:
    """One command a collection that it needs."""
    work, expected = READS[name]
    with unit(Scope.READ) as opened:
        work(opened)
    assert filled == expected


@pytest.mark.parametrize("name", WRITES)
def test_a_write_sends_these_commands(name: str, filled: list[str], unit: Units) -> None:
    """One command changes the record; what more there is tidies up."""
    work, expected = WRITES[name]
    with unit(Scope.WRITE_ONE) as opened:
        work(opened)
    assert filled == expected


def test_adding_and_changing_songs(filled: list[str], unit: Units, song: Callable[..., Song]) -> None:
    """Songs are looked for and then inserted, however many; a change is one command."""
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.add_many([song(f"N{n}") for n in range(50)])
    changed = Song.of("S1", song(title="Other").details, version=2)
    with unit(Scope.WRITE_ONE) as opened:
        opened.songs.replace(changed, if_version=1)
    assert filled == ["find songs", "insert songs", "update songs"]


def test_a_rating_without_a_key(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """One command, whose answer holds the statistics."""
    assert rate(rating("R1")).count == 1
    assert filled == ["findAndModify songs"]


def test_a_rating_with_a_key(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """Three commands; four at the most when it is repeated, by the same event or by another."""
    rate(rating("R1", key="k"))
    assert filled == ["find songs", "insert claims", "findAndModify songs"]
    filled.clear()
    rate(rating("R2", key="k"))
    assert filled == ["find songs", "insert claims", "find claims"]
    for n in range(20):
        rate(rating(f"R3{n:02d}"))
    filled.clear()
    rate(rating("R1", key="k"))
    assert filled == ["find songs", "insert claims", "find claims", "find ratings"]


def test_many_ratings(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """Moving events away costs three commands in twelve ratings, and nobody waits for it in between."""
    for n in range(100):
        rate(rating(f"R{n:03d}"))
    assert filled.count("findAndModify songs") == 100
    assert len(filled) == 100 + 3 * 8


def test_a_rating_whose_id_is_behind(filled: list[str], rate: Callable[[Rating], RatingStats], rating: Any) -> None:
    """One whose clock is behind takes more commands, and is counted once however often it is sent."""
    for n in range(16):
        rate(rating(f"R5{n:02d}"))
    filled.clear()
    assert rate(rating("R100")).count == 17
    assert filled == ["findAndModify songs", "find songs", "find ratings", "findAndModify songs"]
    assert rate(rating("R100")).count == 17


def test_search_asks_for_the_rarest_first(filled: list[str], storage: MongoStorage, unit: Units) -> None:
    """What a sample of the songs says is common comes last; the sample is not taken again each time."""
    for _ in range(2):
        with unit(Scope.READ) as opened:
            assert [each.id for each in opened.songs.find(SongFilter(text="song s1"), limit=9)] == ["S1"]
    assert filled == ["aggregate songs", "find songs", "find songs"]
    assert storage._rarity.rarest_first(["son", " s1", "zzz"]) == ["zzz", " s1", "son"]
