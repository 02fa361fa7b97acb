"""Search against its one-line definition, scanned and indexed, while songs come, change and go."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import songs_memory.song_search as module
from songs.model import MAX_TEXT, Song, SongDetails, SongIdentity
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_memory.search_index import SearchIndex, StoredSong
from songs_memory.song_search import SongSearch

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

HOSTILE = "aAbB \n%_.*\\/'\"[](){}|^$+?~ßéÉıİſK君が가\u0301\u0327\u200f\ufdfaﬃ½"
song_text = st.text(st.sampled_from(HOSTILE.replace("\n", "")), min_size=1, max_size=8).filter(
    lambda text: len(text) <= MAX_TEXT
)
asked = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=5).map(fold)


@st.composite
def catalogues(draw: st.DrawFn) -> list[Song]:
    """Songs of hostile texts, with distinct identities."""
    pairs = draw(st.lists(st.tuples(song_text, song_text, st.integers(0, 2)), min_size=1, max_size=12))
    songs: dict[SongIdentity, Song] = {}
    for number, (artist, title, level) in enumerate(pairs):
        details = SongDetails(
            artist=artist, title=title, difficulty_milli=number, level=level, released=_DAY
        )
        songs.setdefault(details.identity, Song.of(f"{number:02d}", details))
    return list(songs.values())


_DAY = StoredSong.of(
    Song(id="x", artist="x", title="x", difficulty_milli=0, level=0, released=__import__("datetime").date(2000, 1, 1))
).song.released


def _meets(song: Song, wanted: SongFilter) -> bool:
    text, artist, level = wanted.text, wanted.artist, wanted.level
    return (
        (text is None or text in fold(song.artist) or text in fold(song.title))
        and (artist is None or fold(song.artist) == artist)
        and (level is None or song.level == level)
    )
