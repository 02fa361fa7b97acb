"""docs/architecture.md says what the code does."""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest
from tests.asking import asker

from songs.model import SongDetails
from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.settings import Variables, resolve
from songs_contract.harness.timing import eventually
from songs_plugins.registry import Registry

SETTINGS = {
    "STORAGE": "sqlite",
    "CACHE": "memory",
    "LIMITER_DEFAULT": "999999999/day",
    "BCRYPT_ROUNDS": "4",
    "JWT_SECRET": 40 * "x",
}
WALKS = {
    "a rating": "A rating",
    "statistics, cached": "Statistics that are cached",
    "statistics, not cached": "The same, not cached",
}
TOLERANCE = 0.03
"""Of the counts: what is due now and then, such as a look at the coherence record, is counted or not."""


class Walk(NamedTuple):
    """The calls of our own code that one request takes, in their order."""

    names: list[str]
    files: list[str]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many calls there are, in how many files, with how many moves from one to another."""
        moves = sum(before != after for before, after in zip(self.files, self.files[1:], strict=False))
        return len(self.files), len(set(self.files)), moves


@pytest.fixture(scope="module")
def page(project_root: Path) -> str:
    """The page."""
    return (project_root / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A service with some songs."""
    texts = {f"SONGS_{name}": value for name, value in SETTINGS.items()}
    texts["SONGS_SQLITE_PATH"] = str(tmp_path_factory.mktemp("walks") / "songs.db")
    with opened(resolve(Variables().replacing(texts), Registry())) as container:
        yield container


@pytest.fixture(scope="module")
def walks(container: Container, project_root: Path) -> dict[str, Walk]:
    """What each request of the page does."""
    soon = Deadline.after(container.clock(), 30)
    details = SongDetails(artist="A", title="T", difficulty_milli=1, level=1, released=date(2000, 1, 1))
    song_id = container.catalogue().add(details, deadline=soon).id
    asking = asker(container, soon)
    stats = asking(f"/songs/{song_id}/ratings")
    rate = asking("/songs/ratings", {"song_id": song_id, "rating": 4})

    def is_on() -> bool:
        stats()
        record = container.coherence().record
        return record is not None and record.cache_on

    eventually(is_on, within_s=30)
    rate()
    found = {"a rating": _walk(rate, project_root), "statistics, not cached": _walk(stats, project_root)}
    return found | {"statistics, cached": _walk(stats, project_root)}


def _walk(ask: Callable[[], None], root: Path) -> Walk:
    walk = Walk([], [])
    sources = tuple(f"{root / folder}/" for folder in ("core", "adapters", "entrypoints"))

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(sources):
            walk.names.append(frame.f_code.co_qualname)
            walk.files.append(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        ask()
    finally:
        sys.setprofile(before)
    return walk


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_is_as_told(name: str, walks: dict[str, Walk], page: str) -> None:
    """What the list names is called, in that order."""
    section = page.partition(f"### {WALKS[name]}")[2].partition("\n##")[0].partition("\n|")[0]
    told = re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)
    assert len(told) > 5
    calls = iter(walks[name].names)

    assert [each for each in told if each not in calls] == []


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions of Python make other calls")
@pytest.mark.parametrize("name", WALKS)
def test_the_counts_are_right(name: str, walks: dict[str, Walk], page: str) -> None:
    """Calls, files and moves, to within three in a hundred."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    told = [int(cell) for cell in row.split("|")[2:5]]
    counts = walks[name].counts

    assert all(abs(found - each) <= max(2, TOLERANCE * each) for found, each in zip(counts, told, strict=True)), counts


def test_files_are_there(page: str, project_root: Path) -> None:
    """Every path that the page names."""
    roots = ("", "core/songs", "adapters", "entrypoints/songs_api", "core/songs/ports", "core/songs/application")
    kernel = ("entrypoints/songs_api/http/kernel",)
    named = set(re.findall(r"`([a-z_/]+\.py)`", page))

    assert [
        path for path in sorted(named) if not any((project_root / root / path).exists() for root in (*roots, *kernel))
    ] == []
