"""Searches and averages mean the same on every storage: on real songs, and on hostile texts."""

import gzip
import json
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from songs.model import DifficultyTotals, Song, SongDetails, difficulty_milli
from songs.ports.storage import Scope
from songs.query import SongFilter
from songs.text import fold
from songs_contract.models.samples import song
from songs_contract.models.state_model import texts

STORAGES = ("memory", "sqlite", "jsonfile", "mongo", "postgres")
SHORT = 300
ALL = 26_229
MESSAGES = (
    "love",
    "Beyoncé",
    "BEYONCE",
    "85%",
    "_",
    "/\\",
    ".*",
    "君",
    "straße",
    "ﬁ",
    "the ",
    "a",
    '"',
    "'",
    "?",
    "xyzzy",
)
EXAMPLES = 25


def matching(songs: Sequence[Song], message: str) -> list[str]:
    """Return the ids of the songs that a message finds: this is what it means."""
    return [s.id for s in songs if fold(message) in fold(s.artist) or fold(message) in fold(s.title)]


@pytest.fixture(scope="module")
def catalogue(project_root: Path) -> list[Song]:
    """26,229 real songs, where they are at hand."""
    file = project_root.parent / "shared" / "data" / "songs_26k.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [_song(number, json.loads(line, parse_float=Decimal)) for number, line in enumerate(lines)]


def _song(number: int, row: dict[str, Any]) -> Song:
    return Song(
        id=f"{number:06d}",
        details=SongDetails(
            artist=row["artist"],
            title=row["title"],
            difficulty_milli=difficulty_milli(row["difficulty"]),
            level=row["level"],
            released=date.fromisoformat(row["released"]),
        ),
    )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [SHORT, pytest.param(ALL, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", STORAGES)
def test_real_songs(opened: Callable[[str], Any], catalogue: list[Song], name: str, count: int) -> None:
    """Imported into a storage, they are found, counted and averaged as a look through all of them does it."""
    # Songs from everywhere, with those that the messages are about.
    songs = sorted({song.id: song for song in catalogue[:: ALL // count] + catalogue[-200:]}.values(), key=_id)
    storage = opened(name)
    storage.add(songs)

    for message in MESSAGES:
        wanted = SongFilter(text=fold(message))
        expected = matching(songs, message)
        found = storage.do(lambda unit, wanted=wanted: unit.songs.find(wanted, limit=ALL))
        assert [song.id for song in found] == expected, message
        assert storage.do(lambda unit, wanted=wanted: unit.songs.count(wanted)) == len(expected), message
    for level in (None, *range(0, 101, 10)):
        difficulties = [song.difficulty_milli for song in songs if level in (None, song.level)]
        totals = storage.do(lambda unit, level=level: unit.songs.difficulty_totals(level))
        assert totals == DifficultyTotals(len(difficulties), sum(difficulties)), level


def _id(song: Song) -> str:
    return song.id


@pytest.fixture(scope="module", params=STORAGES)
def hostile_storage(request: pytest.FixtureRequest, opened: Callable[[str], Any]) -> Any:
    """A storage for hostile songs."""
    return opened(request.param)


def _messages(found: list[tuple[str, str]]) -> st.SearchStrategy[str]:
    """Any text, and parts of the songs' own, as they are or spelt otherwise."""
    parts = st.sampled_from([text for pair in found for text in pair]).flatmap(
        lambda text: st.tuples(st.just(text), st.integers(0, len(text)), st.integers(1, 6))
    )
    forms = (str.upper, str.lower, lambda text: unicodedata.normalize("NFD", text), str)
    spelt = st.tuples(parts.map(lambda part: part[0][part[1] : part[1] + part[2]]), st.sampled_from(forms))
    return st.one_of(texts(), spelt.map(lambda each: each[1](each[0])))


@pytest.mark.timeout(600)
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(pairs=st.lists(st.tuples(texts(), texts()), min_size=1, max_size=6, unique=True), data=st.data())
def test_hostile_texts(hostile_storage: Any, pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """Whatever songs and message are made of, exactly those are found that the definition names."""
    songs = [song(f"song-{n}", artist=artist, title=title, level=n) for n, (artist, title) in enumerate(pairs)]
    messages = data.draw(st.lists(_messages(pairs), min_size=1, max_size=4))
    assume(any(map(fold, messages)))
    hostile_storage.add(songs)
    try:
        for message in filter(fold, messages):
            wanted = SongFilter(text=fold(message))
            found = hostile_storage.do(lambda unit, wanted=wanted: unit.songs.find(wanted, limit=9))
            assert [song.id for song in found] == matching(songs, message)
            assert hostile_storage.do(lambda unit, wanted=wanted: unit.songs.count(wanted)) == len(found)
    finally:
        for each in songs:
            hostile_storage.do(lambda unit, each=each: unit.songs.delete(each.id), scope=Scope.WRITE_ONE)
