"""Searches and pages without an index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.query import SongFilter
from songs.text import fold
from songs_contract.models.samples import song
from songs_plugins.scans import FoldedSong, beyond, matching, page
from songs_plugins.values import LARGEST_INT64

IDS = st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), unique=True).map(sorted)
BOUNDS = st.integers(-2, 6) | st.sampled_from((-(2**70), 2**63 - 1, 2**63, 2**70))


@pytest.mark.parametrize(
    ("song_filter", "found"),
    [
        (SongFilter(), ["song-1", "song-2", "song-3"]),
        (SongFilter(text=fold("BEYONCE")), ["song-1", "song-3"]),
        (SongFilter(artist="beyonce"), ["song-1"]),
        (SongFilter(level=7), ["song-1", "song-2"]),
        (SongFilter(text="%"), ["song-2"]),
        (SongFilter(text="o", artist="beyonce", level=7), ["song-1"]),
        (SongFilter(text="o", artist="beyonce", level=8), []),
        (SongFilter(text="beyonce title"), []),
    ],
)
def test_the_songs_that_meet_a_filter(song_filter: SongFilter, found: list[str]) -> None:
    """Every member counts that is not None; a text is looked for in the artist and in the title, not across them."""
    songs = [
        song("song-1", artist="Beyonc\u00e9", title="Title", level=7),
        song("song-2", artist="Other", title="100 %", level=7),
        song("song-3", artist="Other", title="For Beyonc\u00e9", level=8),
    ]

    assert [each.id for each in matching(map(FoldedSong.of, songs), song_filter)] == found


@given(IDS, st.none() | st.text(st.characters(categories=None)))
def test_the_ids_beyond_one(ids: list[str], after_id: str | None) -> None:
    """Those that are greater, whatever text is asked for; all without one."""
    assert list(beyond(ids, after_id)) == [each for each in ids if after_id is None or each > after_id]


@given(st.lists(st.integers(), max_size=5), BOUNDS, BOUNDS)
def test_a_page(items: list[int], limit: int, offset: int) -> None:
    """At most `limit` items without the first `offset`; less than none is none, and more than there are is all."""
    start = max(offset, 0)

    assert page(items, limit=limit, offset=offset) == tuple(items[start : start + max(limit, 0)])
    assert page(items, limit=LARGEST_INT64) == tuple(items)
