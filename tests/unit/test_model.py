"""The values of the domain and their limits."""

import pickle
import unicodedata
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import FrozenInstanceError, asdict, fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from songs.application.catalogue import folded
from songs.application.password_policy import PasswordPolicy
from songs.errors import FieldError, InvalidInput
from songs.limits import is_id, is_idempotency_key
from songs.model import (
    DifficultyTotals,
    Rating,
    RatingStats,
    Role,
    Song,
    SongDetails,
    User,
    difficulty_milli,
    whole_milliseconds,
)

NOW = datetime(2026, 11, 23, 20, 0, 0, 123_000, tzinfo=UTC)


def details(**changes: Any) -> SongDetails:
    """Return valid details, with changes."""
    members: dict[str, Any] = {
        "artist": "Antonín Dvořák",
        "title": "Humoresque",
        "difficulty_milli": 7_250,
        "level": 6,
        "released": date(1894, 8, 27),
    }
    return SongDetails(**(members | changes))


def rating(**changes: Any) -> Rating:
    """Return a valid rating, with changes."""
    members: dict[str, Any] = {"id": "r1", "song_id": "s1", "user_id": "u1", "value": 4, "rated_at": NOW}
    return Rating(**(members | changes))


def user(**changes: Any) -> User:
    """Return a valid user, with changes."""
    members: dict[str, Any] = {"id": "u1", "name": "Ada.L", "password_hash": "x", "created_at": NOW}
    return User(**(members | changes))


def errors_of(make: Callable[[], object]) -> Sequence[FieldError]:
    """Return what is wrong with what `make` makes."""
    with pytest.raises(InvalidInput) as caught:
        make()
    return caught.value.errors


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"artist": ""}, "/artist"),
        ({"artist": "a" * 1025}, "/artist"),
        ({"artist": None}, "/artist"),
        ({"title": "a\x00b"}, "/title"),
        ({"title": "a\nb"}, "/title"),
        ({"title": "a\x85b"}, "/title"),
        ({"title": "a\u2028b"}, "/title"),
        ({"title": "a\ud800b"}, "/title"),
        ({"difficulty_milli": -1}, "/difficulty"),
        ({"difficulty_milli": 100_001}, "/difficulty"),
        ({"difficulty_milli": 1.5}, "/difficulty"),
        ({"level": 101}, "/level"),
        ({"level": -1}, "/level"),
        ({"level": True}, "/level"),
        ({"released": NOW}, "/released"),
        ({"released": "1894-08-27"}, "/released"),
    ],
)
def test_details_refuse(changes: dict[str, Any], pointer: str) -> None:
    """A member beyond its limits is refused, under the name that clients know it by."""
    with pytest.raises(InvalidInput) as caught:
        details(**changes)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_long_texts_are_refused_before_they_are_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalising takes time that grows with the square of a run of combining marks, so its length is bounded."""
    normalised: list[int] = []
    original = unicodedata.normalize

    def normalize(form: Any, text: str) -> str:
        normalised.append(len(text))
        return original(form, text)

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    marks = "e" + "\u0301\u0316" * 30_000
    with pytest.raises(InvalidInput):
        details(artist=marks, title=marks)
    with pytest.raises(InvalidInput):
        folded("/message", marks)
    with pytest.raises(InvalidInput):
        PasswordPolicy().check(marks)
    assert max(normalised, default=0) <= 4096


def test_details_refuse_all_at_once() -> None:
    """Everything that is wrong is named in one error."""
    with pytest.raises(InvalidInput) as caught:
        details(artist="", title="\x00", level=101)
    assert [error.pointer for error in caught.value.errors] == ["/artist", "/title", "/level"]


@pytest.mark.parametrize(
    "changes",
    [
        {"artist": "a" * 1024},
        {"title": "\u200f\u202bمرحبا\u202c\u200e\u2067x\u2069"},
        {"title": "👩\u200d👧"},
        {"title": " "},
        {"difficulty_milli": 0},
        {"difficulty_milli": 100_000},
        {"level": 0},
        {"level": 100},
        {"released": date.min},
        {"released": date.max},
    ],
)
def test_details_accept_the_limits(changes: dict[str, Any]) -> None:
    """Each limit itself is within."""
    accepted = details(**changes)
    assert {name: getattr(accepted, name) for name in changes} == changes


def test_nothing_is_altered() -> None:
    """What a storage returns is never silently another text: one that is not normalised is refused."""
    assert [error.message for error in errors_of(lambda: details(artist="e\u0301"))] == ["must be normalised (NFC)"]


def test_a_song_is_read_like_its_details() -> None:
    """Each member of the details is one of the song, and both have one identity."""
    song = Song(id="s1", details=details(), version=3)
    assert {each.name: getattr(song, each.name) for each in fields(SongDetails)} == asdict(details())
    assert song.identity == details().identity == ("Antonín Dvořák", "Humoresque", date(1894, 8, 27))


def test_song_refuses_all_at_once() -> None:
    """Everything that is wrong is named in one error."""
    make: Any = Song
    wrong = errors_of(lambda: make(id="", details="none", version=0))
    assert [error.pointer for error in wrong] == ["/id", "/details", "/version"]


def test_songs_are_values() -> None:
    """Equal songs are one in a set, survive pickling and copying, and cannot be changed."""
    song = Song(id="s1", details=details(), version=3)
    assert {song, Song(id="s1", details=details(), version=3), pickle.loads(pickle.dumps(song)), copy(song)} == {song}  # noqa: S301
    assert song != replace(song, version=4) != replace(song, details=details(level=7))
    assert repr(song) == f"Song(id='s1', details={details()!r}, version=3)"
    with pytest.raises(FrozenInstanceError):
        song.version = 4  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        song.level = 7  # type: ignore[misc]


FLAT: dict[str, Any] = asdict(details())
FORMER: Any = Song
"""Type checkers see the form that stays."""


@pytest.mark.parametrize(
    "make",
    [
        lambda: FORMER(id="s1", version=3, **FLAT),
        lambda: replace(FORMER(id="s1", version=3, **(FLAT | {"level": 9})), level=6),
        lambda: FORMER.of("s1", details(), version=3),
    ],
    ids=["made", "replaced", "of"],
)
def test_the_flat_form_warns_and_means_the_same(make: Callable[[], Song]) -> None:
    """For one release a song can be made of the members of its details."""
    with pytest.warns(DeprecationWarning, match=r"Song takes details now: Song\(id=\.\.\., details=SongDetails"):
        song = make()
    assert song == Song(id="s1", details=details(), version=3)


@pytest.mark.filterwarnings("ignore:Song takes details")
def test_the_flat_form_refuses_all_at_once() -> None:
    """Everything that is wrong is named in one error, whether it is the song's or its details'."""
    wrong = errors_of(lambda: FORMER(id="", version=0, **(FLAT | {"artist": "e\u0301", "level": 101})))
    assert [error.pointer for error in wrong] == ["/id", "/artist", "/level", "/version"]


@pytest.mark.filterwarnings("ignore:Song takes details")
@pytest.mark.parametrize(
    ("members", "told"),
    [({}, "missing"), ({"artist": "a"}, "missing"), (FLAT | {"year": 1894}, "year")],
    ids=["nothing", "some", "more"],
)
def test_a_song_needs_all_its_members(members: dict[str, Any], told: str) -> None:
    """A member that is missing or unknown is the caller's mistake, and named."""
    with pytest.raises(TypeError, match=told):
        FORMER(id="s1", **members)


@pytest.mark.parametrize(("value", "milli"), [("0", 0), ("13.22", 13_220), ("100", 100_000), ("1e1", 10_000)])
def test_difficulty(value: str, milli: int) -> None:
    """A difficulty is kept in thousandths, exactly."""
    assert difficulty_milli(Decimal(value)) == milli


@pytest.mark.parametrize(
    "value", ["0.0001", "-0.001", "100.001", "NaN", "Infinity", "1e999999", "1e-999999", f"50.{'0' * 40}1"]
)
def test_difficulty_refuses(value: str) -> None:
    """More than 3 decimals, or outside 0..100, or no number."""
    with pytest.raises(InvalidInput) as caught:
        difficulty_milli(Decimal(value))
    assert caught.value.errors[0].pointer == "/difficulty"


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0},
        {"value": 6},
        {"value": 4.0},
        {"value": True},
        {"id": ""},
        {"song_id": "a/b"},
        {"rated_at": NOW.replace(tzinfo=None)},
        {"rated_at": NOW.astimezone(timezone(timedelta(hours=1)))},
        {"rated_at": NOW.replace(microsecond=1)},
        {"key": ""},
        {"key": "a b"},
        {"key": "é"},
        {"key": "k" * 256},
    ],
)
def test_rating_refuses(changes: dict[str, Any]) -> None:
    """A rating beyond its limits cannot be made."""
    with pytest.raises(InvalidInput):
        rating(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"name": "ab"}, {"name": "a" * 51}, {"name": "a b"}, {"name": "é" * 3}, {"version": 0}],
)
def test_user_refuses(changes: dict[str, Any]) -> None:
    """A user beyond its limits cannot be made."""
    with pytest.raises(InvalidInput):
        user(**changes)


def test_a_user_never_shows_its_hash() -> None:
    """The repr, and so any log of it, is without the password's hash."""
    assert "s3cret-hash" not in repr(user(password_hash="s3cret-hash"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", True), ("A-z_09", True), ("a" * 64, True), ("", False), ("a" * 65, False), ("é", False), ("a\n", False)],
)
def test_ids(text: str, expected: bool) -> None:
    """An id is 1 to 64 ASCII letters, digits, underscores and hyphens."""
    assert is_id(text) is expected


@pytest.mark.parametrize(("text", "expected"), [("!", True), ("~" * 255, True), (" ", False), ("a\n", False)])
def test_idempotency_keys(text: str, expected: bool) -> None:
    """A key is 1 to 255 visible ASCII characters."""
    assert is_idempotency_key(text) is expected


def test_statistics_follow_from_the_distribution() -> None:
    """Count, average, lowest and highest are exact."""
    stats = RatingStats.of([2, 4, 4, 5])
    assert stats.distribution == (0, 1, 0, 2, 1)
    assert (stats.count, stats.average_milli, stats.lowest, stats.highest) == (4, 3750, 2, 5)
    assert stats.plus(1) == RatingStats.of([1, 2, 4, 4, 5])


def test_statistics_of_nothing() -> None:
    """Without a rating there is a count of 0 and nothing else."""
    stats = RatingStats()
    assert (stats.count, stats.average_milli, stats.lowest, stats.highest) == (0, None, None, None)


def test_average_is_rounded_half_to_even() -> None:
    """17/16 is 1.062, the even neighbour of 1.0625."""
    assert RatingStats((15, 1, 0, 0, 0)).average_milli == 1062
    assert DifficultyTotals(16, 17_000).average_milli == 1062
    assert DifficultyTotals(0, 0).average_milli is None


def test_roles() -> None:
    """Each role may do what the ones before it may."""
    assert Role.ADMIN.includes(Role.USER)
    assert Role.EDITOR.includes(Role.EDITOR)
    assert not Role.USER.includes(Role.EDITOR)


def test_whole_milliseconds() -> None:
    """What is finer than a millisecond is cut off."""
    assert whole_milliseconds(NOW.replace(microsecond=123_999)) == NOW
