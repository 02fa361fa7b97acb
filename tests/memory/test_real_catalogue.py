"""A real catalogue of 26,229 songs, where it is at hand."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from songs.model import Song, SongDetails, difficulty_milli
from songs.ports.storage import Scope, UnitOfWork
from songs.query import SongFilter
from songs.text import fold

Units = Callable[[Scope], AbstractContextManager[UnitOfWork]]


def _songs(file: Path) -> Iterator[Song]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line, parse_float=Decimal)
            details = SongDetails(
                artist=row["artist"],
                title=row["title"],
                difficulty_milli=difficulty_milli(row["difficulty"]),
                level=row["level"],
                released=date.fromisoformat(row["released"]),
            )
            yield Song(id=f"{number:06d}", details=details)


@pytest.fixture(scope="module", params=[5_000, 1_000_000], ids=["indexed", "scanned"])
def units(request: pytest.FixtureRequest, project_root: Path, new_units: Callable[[int], Units]) -> Units:
    """Units of work of a storage that holds the catalogue."""
    file = project_root.parent / "shared" / "data" / "songs_26k.jsonl.gz"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    units = new_units(request.param)
    songs = list(_songs(file))
    for start in range(0, len(songs), 500):
        with units(Scope.WRITE_ONE) as unit:
            assert unit.songs.add_many(songs[start : start + 500]) == frozenset()
    return units


@pytest.mark.parametrize(
    ("message", "total"),
    [
        ("love", 1_053),
        ("Beyoncé", 19),
        ("beyonce", 19),
        ("85%", 1),
        ("_", 8),
        ("/\\", 6),
        (".*", 0),
        ("君", 4),
        ("straße", 6),
    ],
)
def test_known_searches_find_what_they_should(units: Units, message: str, total: int) -> None:
    """With and without an index the totals are those that were counted by other means."""
    with units(Scope.READ) as unit:
        wanted = SongFilter(text=fold(message))
        found = unit.songs.find(wanted, limit=2_000)
        assert (len(found), unit.songs.count(wanted)) == (total, total)
        assert list(found) == sorted(found, key=lambda song: song.id)


def test_a_walk_meets_every_song_once(units: Units) -> None:
    """Page by page, by id: 26,229 songs in ascending order."""
    walked: list[str] = []
    with units(Scope.READ) as unit:
        while page := unit.songs.find(SongFilter(), limit=1_000, after_id=walked[-1] if walked else None):
            walked += [song.id for song in page]
        assert walked == [f"{number:06d}" for number in range(26_229)]
        assert unit.songs.find(SongFilter(), limit=5, offset=26_227)[-1].id == "026228"
