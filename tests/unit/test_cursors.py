"""Cursors."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.application.cursors import Cursors
from songs.errors import BadCursor
from songs.query import SongFilter

CURSORS = Cursors(b"a secret of thirty-two bytes ....")
EVERYTHING = SongFilter()


@given(st.from_regex(r"[0-9A-Za-z_-]{1,64}", fullmatch=True), st.text(min_size=1), st.integers(0, 100))
def test_round_trip(after_id: str, text: str, level: int) -> None:
    """A cursor says after which id its walk goes on."""
    song_filter = SongFilter(text=text, level=level)
    assert CURSORS.decode(CURSORS.encode(after_id, song_filter), song_filter) == after_id


@pytest.mark.parametrize(
    "other", [SongFilter(text="a"), SongFilter(artist="a"), SongFilter(level=0), SongFilter(text="a", level=1)]
)
def test_bound_to_its_filter(other: SongFilter) -> None:
    """A cursor of one walk is refused in another."""
    with pytest.raises(BadCursor):
        CURSORS.decode(CURSORS.encode("0a", EVERYTHING), other)


def test_bound_to_its_secret() -> None:
    """A cursor that another service made is refused."""
    with pytest.raises(BadCursor):
        CURSORS.decode(Cursors(b"another secret").encode("0a", EVERYTHING), EVERYTHING)


def test_a_cursor_of_a_previous_secret_goes_on() -> None:
    """A walk outlives a change of the secret: what those before signed is accepted; new cursors are the new's."""
    before, longer_before = Cursors(b"before"), Cursors(b"longer before")
    changed = Cursors(b"now", previous=[b"before", b"longer before"])
    for each in (before, longer_before, changed):
        assert changed.decode(each.encode("0a", EVERYTHING), EVERYTHING) == "0a"
        with pytest.raises(BadCursor):
            changed.decode(each.encode("0a", EVERYTHING), SongFilter(level=1))
    assert changed.encode("0a", EVERYTHING) == Cursors(b"now").encode("0a", EVERYTHING)
    with pytest.raises(BadCursor):
        changed.decode(Cursors(b"other").encode("0a", EVERYTHING), EVERYTHING)


@pytest.mark.parametrize("after_id", ["0123456789abcdef", "0123456789abcde", "0123456789abcd"])
def test_every_changed_character_is_noticed(after_id: str) -> None:
    """No character of a cursor can be changed, not even in bits that its decoder ignores."""
    cursor = CURSORS.encode(after_id, EVERYTHING)
    for i in range(len(cursor)):
        changed = cursor[:i] + ("A" if cursor[i] != "A" else "B") + cursor[i + 1 :]
        with pytest.raises(BadCursor):
            CURSORS.decode(changed, EVERYTHING)


@given(st.text())
def test_garbage(text: str) -> None:
    """Whatever is not a cursor is refused, and by no other error."""
    with pytest.raises(BadCursor):
        CURSORS.decode(text, EVERYTHING)


@pytest.mark.parametrize("text", ["", "=", "====", "A" * 10_000, "é", "\x00", "AAAA AAAA"])
def test_more_garbage(text: str) -> None:
    """Shapes that decoders stumble over are refused like the rest."""
    with pytest.raises(BadCursor):
        CURSORS.decode(text, EVERYTHING)


FILTERS = st.builds(
    SongFilter,
    text=st.none() | st.text(min_size=1, max_size=3),
    artist=st.none() | st.text(min_size=1, max_size=3),
    level=st.none() | st.integers(0, 3),
)


@given(FILTERS, FILTERS)
def test_a_canonical_text_is_of_one_filter(one: SongFilter, other: SongFilter) -> None:
    """Two filters share it if they are equal, and only then."""
    assert (one.canonical() == other.canonical()) == (one == other)


@pytest.mark.parametrize("member", [member.name for member in fields(SongFilter)])
def test_difficulty_totals_count_the_songs_of_levels_alone(member: str) -> None:
    """A member that a later version adds is not left out of a count either."""
    members: Any = {member: 0 if member == "level" else "a"}

    assert SongFilter(**members).only_level == (member == "level")
    assert SongFilter(**{"level": 1, **members}).only_level == (member == "level")
    assert SongFilter().only_level


@pytest.mark.parametrize("member", [member.name for member in fields(SongFilter)])
def test_no_member_of_a_filter_is_forgotten(member: str) -> None:
    """Each changes the canonical text, and with it the keys of caches and what cursors are bound to."""
    value: Any = 1 if member == "level" else "1"

    assert SongFilter(**{member: value}).canonical() != SongFilter().canonical()
