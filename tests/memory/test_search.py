"""Search against its one-line definition, scanned and indexed, while songs come, change and go."""

import contextlib
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import songs_memory.search as module
from songs.model import Song, SongDetails
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs.text import fold

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]

HOSTILE = "aAbB %_.*\\/'\"[](){}|^$+?~ßéÉıİſK君が가\u0301\u0327\u200f\ufdfaﬃ½"
texts = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=6).map(partial(unicodedata.normalize, "NFC"))
details = st.builds(
    SongDetails,
    artist=texts,
    title=texts,
    difficulty_milli=st.integers(0, 100_000),
    level=st.integers(0, 2),
    released=st.just(date(2000, 1, 1)),
)
changes = st.lists(st.tuples(st.integers(0, 9), st.none() | details, st.booleans()), max_size=40)
asked = st.text(st.sampled_from(HOSTILE + "\n"), min_size=1, max_size=5).map(fold).filter(bool)
filters = st.builds(SongFilter, text=st.none() | asked, artist=st.none() | asked, level=st.none() | st.integers(0, 3))


@pytest.fixture(scope="module", autouse=True)
def _no_slack() -> Iterator[None]:
    """Let indexes be replaced after a few changes already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SLACK", 0)
        yield


def _change(unit: UnitOfWork, stored: dict[str, Song], song_id: str, wanted: SongDetails | None) -> None:
    """Add, change or remove one song, in the storage and in `stored`, unless its identity is taken."""
    before = stored.get(song_id)
    if wanted is None:
        assert unit.songs.delete(song_id) == (before is not None)
        stored.pop(song_id, None)
    elif any(song.identity == wanted.identity for song in stored.values() if song.id != song_id):
        return
    elif before is None:
        stored[song_id] = Song(id=song_id, details=wanted)
        unit.songs.add(stored[song_id])
    else:
        stored[song_id] = Song(id=song_id, details=wanted, version=before.version + 1)
        unit.songs.replace(stored[song_id], if_version=before.version)


def _expected(stored: dict[str, Song], wanted: SongFilter) -> list[Song]:
    return [
        song
        for _, song in sorted(stored.items())
        if (wanted.text is None or wanted.text in fold(song.artist) or wanted.text in fold(song.title))
        and (wanted.artist is None or fold(song.artist) == wanted.artist)
        and (wanted.level is None or song.level == wanted.level)
    ]


@pytest.mark.parametrize("index_from", [1, 4, 1_000])
@given(steps=changes, wanted=st.lists(filters, min_size=1, max_size=4))
def test_a_search_finds_what_its_definition_says(
    new_units: Callable[[int], Units],
    index_from: int,
    steps: list[tuple[int, SongDetails | None, bool]],
    wanted: list[SongFilter],
) -> None:
    """On both sides of the threshold, after changes and rollbacks, for hostile texts, in the unit and after it."""
    units = new_units(index_from)
    stored: dict[str, Song] = {}
    for number, change, keep in steps:
        after = dict(stored)
        # An error of the test's own rolls the unit back.
        with contextlib.nullcontext() if keep else pytest.raises(ZeroDivisionError), units(Scope.WRITE_MANY) as unit:
            assert unit.songs.find(wanted[0], limit=100) == tuple(_expected(stored, wanted[0]))
            _change(unit, after, f"{number:02d}", change)
            _change(unit, after, f"{number + 5:02d}", change and replace(change, title=f"{change.title}2"))
            assert unit.songs.find(wanted[0], limit=100) == tuple(_expected(after, wanted[0]))
            _ = 1 // keep
        stored = after if keep else stored
    for one in wanted:
        with units(Scope.READ) as unit:
            expected = _expected(stored, one)
            assert unit.songs.find(one, limit=100) == tuple(expected)
            assert unit.songs.find(one, limit=2, offset=1) == tuple(expected[1:3])
            assert unit.songs.find(one, limit=2, after_id="04") == tuple(s for s in expected if s.id > "04")[:2]
            assert unit.songs.count(one) == len(expected)


@pytest.mark.parametrize("index_from", [1, 1_000])
def test_no_text_reaches_from_artist_to_title(
    new_units: Callable[[int], Units], new_song: Callable[..., Song], index_from: int
) -> None:
    """The end of the artist and the beginning of the title are not one text, whatever stands between them."""
    units = new_units(index_from)
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.add(new_song("1", artist="abc", title="def"))
    with units(Scope.READ) as unit:
        for between in ("", " ", "\n", "\0", "\t", "|"):
            assert unit.songs.count(SongFilter(text=f"bc{between}de")) == 0
            assert unit.songs.count(SongFilter(text=f"c{between}d", artist="abc")) == 0


@given(steps=changes)
def test_totals_are_those_of_a_recount(
    new_units: Callable[[int], Units], steps: list[tuple[int, SongDetails | None, bool]]
) -> None:
    """The totals of all songs and of each level, which are kept along, are what counting would give."""
    units = new_units(1_000)
    stored: dict[str, Song] = {}
    for number, change, _ in steps:
        with units(Scope.WRITE_ONE) as unit:
            _change(unit, stored, f"{number:02d}", change)
    with units(Scope.READ) as unit:
        for level in (None, 0, 1, 2, 3):
            difficulties = [s.difficulty_milli for s in stored.values() if level is None or s.level == level]
            totals = unit.songs.difficulty_totals(level)
            assert (totals.count, totals.sum_milli) == (len(difficulties), sum(difficulties))
            assert unit.songs.count(SongFilter(level=level)) == len(difficulties)


def test_any_part_of_a_text_finds_it(new_units: Callable[[int], Units], new_song: Callable[..., Song]) -> None:
    """Within a word or across several, with white space of any kind: what has it is found, and no more."""
    units = new_units(1)
    titles = (
        "lone rover moon",
        "moonlit rover",
        "one  rover",
        "rovermoon\u2003one",
        " ro",
        "one roverone",
        "grove cover",
    )
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.add_many([new_song(str(n), artist="drove", title=title) for n, title in enumerate(titles)])
    folds = [fold(title) for title in titles]
    parts = {text[start:end] for text in folds for start in range(len(text)) for end in range(start + 1, len(text) + 1)}
    with units(Scope.READ) as unit:
        for part in sorted(parts):
            expected = [str(n) for n, text in enumerate(folds) if part in text or part in "drove"]
            assert [song.id for song in unit.songs.find(SongFilter(text=part), limit=9)] == expected, part


def test_an_old_snapshot_still_finds_what_it_holds(
    new_units: Callable[[int], Units], new_song: Callable[..., Song]
) -> None:
    """A READ unit that began earlier finds the old titles, also when the index was replaced twice since."""
    units = new_units(1)
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.add_many([new_song(f"{number}", title=f"old title {number}") for number in range(9)])
    with units(Scope.READ) as reader:
        for version in range(2, 12):
            for number in range(9):
                song = new_song(f"{number}", title=f"new title {number}.{version}", version=version)
                with units(Scope.WRITE_ONE) as unit:
                    unit.songs.replace(song, if_version=version - 1)
        assert [song.id for song in reader.songs.find(SongFilter(text="old title"), limit=10)] == list("012345678")
        assert reader.songs.count(SongFilter(text="new title")) == 0
    with units(Scope.READ) as reader:
        assert reader.songs.count(SongFilter(text="old title")) == 0
        assert reader.songs.count(SongFilter(text=".11")) == 9


def test_the_index_does_not_grow_without_end(new_units: Callable[[int], Units], new_song: Callable[..., Song]) -> None:
    """A song that is changed a thousand times leaves a few rows in the index, not a thousand."""
    units = new_units(1)
    with units(Scope.WRITE_ONE) as unit:
        unit.songs.add(new_song("1"))
    for version in range(2, 1_002):
        with units(Scope.WRITE_ONE) as unit:
            unit.songs.replace(new_song("1", title=f"Title {version}", version=version), if_version=version - 1)
    with units(Scope.READ) as unit:
        search = unit.reading().songs.search  # type: ignore[attr-defined]  # looks inside
        assert len(search.index) < 20
        assert unit.songs.count(SongFilter(text="title")) == 1
