"""Values on their way into a backend and out of it."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.limits import MAX_LEVEL
from songs.model import Role
from songs_contract.models import samples
from songs_plugins.values import (
    LARGEST_INT32,
    LARGEST_INT64,
    UNREADABLE,
    clamped,
    comparable,
    comparable_level,
    damaged,
    digest,
    encodable,
    identity_key,
    milliseconds,
    moment,
)

STORED = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
TEXTS = st.text(st.characters(categories=None) | st.sampled_from("\0\x01\ud800\udfff\ufffd"))
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))


@given(MOMENTS)
def test_a_moment_comes_back(at: datetime) -> None:
    """To the millisecond, in UTC, in every year."""
    assert moment(milliseconds(at)) == at
    assert moment(milliseconds(at)).tzinfo is UTC


@pytest.mark.parametrize(
    ("at", "number"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), -1),
        (datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC), 1),
        (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), 253_402_300_799_999),
    ],
)
def test_milliseconds(at: datetime, number: int) -> None:
    """They are counted from 1970, and cut off."""
    assert milliseconds(at) == number


def test_milliseconds_of_another_zone() -> None:
    """The moment counts, not how it is written."""
    at = datetime.fromisoformat("2000-01-01T02:00:00+02:00")
    assert moment(milliseconds(at)) == at


@given(STORED, TEXTS)
def test_what_is_comparable_compares_as_before(stored: str, text: str) -> None:
    """It compares so with every text that may be stored, and can be encoded."""
    sent = comparable(text)

    assert (sent == stored, sent < stored) == (text == stored, text < stored)
    assert encodable(sent)
    sent.encode()


@given(STORED)
def test_stored_texts_are_comparable_as_they_are(text: str) -> None:
    """They are returned unchanged."""
    assert comparable(text) == text


@pytest.mark.parametrize(("text", "can"), [("a", True), ("é\U0001f600", True), ("a\0", False), ("é\ud800", False)])
def test_encodable(text: str, *, can: bool) -> None:
    """Neither a NUL nor a lone surrogate can be stored."""
    assert encodable(text) is can


@given(st.integers())
def test_clamped(number: int) -> None:
    """The nearest number between 0 and the largest."""
    assert clamped(number) == sorted((0, number, LARGEST_INT64))[1]
    assert clamped(number, LARGEST_INT32) == sorted((0, number, LARGEST_INT32))[1]


@pytest.mark.parametrize(("level", "comparable_as"), [(0, 0), (MAX_LEVEL, MAX_LEVEL), (-1, -1), (MAX_LEVEL + 1, -1)])
def test_a_level_that_no_song_has_is_compared_as_one_that_fits(level: int, comparable_as: int) -> None:
    """Also where it is too large for any backend's integers."""
    assert comparable_level(level) == comparable_as
    assert comparable_level(10**30) == comparable_level(-(10**30)) == -1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: samples.song("s1", level=999), "The stored song s1 is damaged (/level: must be between 0 and 100)"),
        (lambda: samples.user("s1", role=Role("king")), "The stored song s1 is damaged (it holds what no such record"),
        (lambda: samples.rating("s1", rated_at=moment(2**62)), "The stored song s1 is damaged (it holds"),
        (lambda: dict[str, str]()["gone"], "The stored song s1 is damaged (it holds"),
        (lambda: int(None), "The stored song s1 is damaged (it holds"),  # type: ignore[call-overload] # as documents have it
    ],
)
def test_what_cannot_be_read(make: Callable[[], object], told: str) -> None:
    """Whatever the model or a conversion refuses is damage, and the message repeats no value."""
    with pytest.raises(UNREADABLE) as caught:
        make()

    error = damaged("song", "s1", caught.value)

    assert error.detail.startswith(told)
    assert "king" not in error.detail


def test_identities_have_different_keys() -> None:
    """Where a character moves from the artist to the title, or the date is another, the key is another, too."""
    keys = {
        identity_key(samples.song(artist=artist, title=title, released=date(2020, 1, day)).identity)
        for artist, title, day in (("ab", "c", 1), ("a", "bc", 1), ("ab", "c", 2), ("AB", "c", 1))
    }

    assert len(keys) == 4
    assert digest("\ud800") != digest("?"), "any text may be asked for"
