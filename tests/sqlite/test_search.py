"""Search, held to its one-line definition: on hostile text, and on a large catalogue."""

import gzip
import json
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songs.model import Song, SongDetails, difficulty_milli
from songs.ports.clock import Deadline
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs.text import fold
from songs_contract.models.samples import song
from songs_sqlite import SqliteStorage

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

HOSTILE = "aAbB 'x\"%_\\/*()[]^:.-+{}~ \u200fßſİéÉe\u0301ﬁ君がカﾞ한\ufffd\ufffe\uffff\U0001f3b5"
texts = st.text(HOSTILE, min_size=1, max_size=12).map(partial(unicodedata.normalize, "NFC"))
wanted = st.one_of(texts, st.text(HOSTILE, min_size=1, max_size=3), st.text("ab", min_size=60, max_size=70))


class _Undo(Exception):
    """Leaves a block so that its unit is rolled back."""


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(songs=st.lists(st.tuples(texts, texts | st.just("ab" * 40), st.integers(0, 2)), max_size=8), query=wanted)
def test_search_means_what_the_definition_says(unit: Units, songs: list[tuple[str, str, int]], query: str) -> None:
    """For every text, with and without a level or an artist: a substring of the folded artist or title, no more."""
    text = fold(query)
    if not text:
        return
    stored = [
        song(f"S{n}", artist=artist, title=title, difficulty_milli=n, level=level, released=date(2000, 1, n + 1))
        for n, (artist, title, level) in enumerate(songs)
    ]
    with pytest.raises(_Undo), unit(Scope.WRITE_MANY) as within:  # noqa: PT012 - undone at the end
        assert within.songs.add_many(stored) == frozenset()
        for level in (None, 1):
            for artist in (None, text):
                expected = [
                    song
                    for song in stored
                    if (text in fold(song.artist) or text in fold(song.title))
                    and level in (None, song.level)
                    and artist in (None, fold(song.artist))
                ]
                song_filter = SongFilter(text=text, level=level, artist=artist)
                assert list(within.songs.find(song_filter, limit=100)) == expected
                assert within.songs.count(song_filter) == len(expected)
        raise _Undo


def test_characters_that_the_index_confuses_are_told_apart(unit: Units, song: Callable[..., Song]) -> None:
    """U+FFFE and U+FFFF are in the index as U+FFFD is: still each text finds and counts its own songs only."""
    texts = [f"a{confused}b" for confused in "\ufffd\ufffe\uffff"]
    with unit(Scope.WRITE_MANY) as within:
        assert within.songs.add_many([song(f"S{n}", title=text) for n, text in enumerate(texts)]) == frozenset()
        for n, text in enumerate(texts):
            assert [one.id for one in within.songs.find(SongFilter(text=text), limit=9)] == [f"S{n}"]
            assert within.songs.count(SongFilter(text=text)) == 1


def _read(file: Path) -> list[SongDetails]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line, parse_float=Decimal) for line in lines]
    return [
        SongDetails(
            artist=row["artist"],
            title=row["title"],
            difficulty_milli=difficulty_milli(row["difficulty"]),
            level=row["level"],
            released=date.fromisoformat(row["released"]),
        )
        for row in rows
    ]


def test_a_large_catalogue_is_searched_right(
    storage: SqliteStorage, deadline: Callable[[float], Deadline], project_root: Path
) -> None:
    """26,229 real songs: known totals, pages in order, exact averages."""
    file = project_root.parent / "shared" / "data" / "songs_26k.jsonl.gz"
    if not file.exists():
        pytest.skip("needs the catalogue ../shared/data/songs_26k.jsonl.gz")
    songs = [Song(id=f"S{n:06d}", details=details) for n, details in enumerate(_read(file))]
    for start in range(0, len(songs), 1000):
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(10)) as unit:
            assert unit.songs.add_many(songs[start : start + 1000]) == frozenset()
    expected = {
        "love": 1053,
        "Beyoncé": 19,
        "beyonce": 19,
        "85%": 1,
        "_": 8,
        "/\\": 6,
        ".*": 0,
        "君": 4,
        "straße": 6,
    }
    with storage.unit_of_work(Scope.READ, deadline=deadline(10)) as unit:
        assert {text: unit.songs.count(SongFilter(text=fold(text))) for text in expected} == expected
        found = unit.songs.find(SongFilter(text="love"), limit=2000)
        assert [song.id for song in found] == sorted(song.id for song in found)
        assert len(found) == expected["love"]
        after = unit.songs.find(SongFilter(text="love"), limit=20, after_id=found[99].id, offset=5)
        assert after == found[105:125]
        totals = unit.songs.difficulty_totals()
        assert (totals.count, totals.sum_milli) == (26_229, sum(song.difficulty_milli for song in songs))
