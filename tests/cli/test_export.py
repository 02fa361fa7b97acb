"""`songs export`: what an import reads, whole or not at all."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from songs_api import transfer as exporting

Songs = Callable[..., Any]

ROW = {
    "artist": "Camille Saint-Saëns",
    "title": "Le Cygne",
    "difficulty": 12.345,
    "level": 10,
    "released": "1886-03-09",
}

GOOD = json.dumps(ROW, separators=(",", ":"))


@pytest.fixture
def filled(songs: Songs, tmp_path: Path) -> int:
    """1,203 songs in the storage: more than two pages."""
    rows = [{**ROW, "title": f"Le Cygne {number}", "level": number % 101} for number in range(1202)]
    (tmp_path / "songs").write_text("\n".join(json.dumps(row) for row in [ROW, *rows]))
    assert songs("import", "songs").status == 0
    return 1203


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_an_export_imports_without_a_change(songs: Songs, filled: int, tmp_path: Path, name: str) -> None:
    """Every song, each member as it was; .gz compresses."""
    ran = songs("export", name)

    assert (ran.status, ran.out) == (0, f"exported {filled} songs to {name}\n")
    assert songs("import", name).out == f"added 0, updated 0, unchanged {filled}, refused 0\n"
    content = (tmp_path / name).read_bytes()
    lines = (gzip.decompress(content) if name.endswith("gz") else content).splitlines()
    assert json.loads(lines[0]) == ROW


def test_standard_output_is_the_default(songs: Songs, filled: int) -> None:
    """Only songs are on it."""
    ran = songs("export")

    assert len(ran.out.splitlines()) == filled
    assert ran.err == ""


def test_a_good_file_stays_until_a_whole_one_takes_its_place(
    songs: Songs, filled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that fails in the middle leaves the earlier file and nothing else."""
    (tmp_path / "out").write_text(GOOD)
    before = sorted(tmp_path.iterdir())
    written = 0

    def failing(song: Any) -> bytes:
        nonlocal written
        written += 1
        if written == 700:
            raise OSError(28, "No space left on device")
        return b"x\n"

    monkeypatch.setattr(exporting, "song_line", failing)
    ran = songs("export", "out")

    assert (ran.status, ran.err) == (2, "songs: out cannot be written: No space left on device\n")
    assert (tmp_path / "out").read_text() == GOOD
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_not_there_is_one_line(songs: Songs) -> None:
    """Exit status 2 and the reason."""
    ran = songs("export", "nosuch/out")

    assert ran.status == 2
    assert ran.err == "songs: nosuch/out cannot be written: No such file or directory\n"


def test_the_mode_of_the_file_is_kept(songs: Songs, tmp_path: Path) -> None:
    """An export over a private file leaves it private."""
    (tmp_path / "out").touch(mode=0o600)

    songs("export", "out")

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"SQLite format 3\0 and what follows",
        b"SONGS_JWT_SECRET=value\n",
        b'{"name": "another file"}\n',
        gzip.compress(b"another file"),
        gzip.compress(b"cut off")[:-9],
    ],
    ids=["database", "settings", "json", "gzip", "cut off"],
)
def test_another_file_is_not_replaced(songs: Songs, filled: int, tmp_path: Path, content: bytes) -> None:
    """A slip, such as the path of the database, costs nothing: only an export takes the place of an export."""
    (tmp_path / "precious").write_bytes(content)
    (tmp_path / "link").symlink_to("precious")

    for name in ("precious", "link"):
        ran = songs("export", name)
        assert (ran.status, ran.out) == (2, "")
        reason = "it is there already and no export of songs; remove it, or write elsewhere"
        assert ran.err == f"songs: {name} cannot be written: {reason}\n"
    assert (tmp_path / "precious").read_bytes() == content


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_an_export_takes_the_place_of_an_earlier_one(songs: Songs, filled: int, tmp_path: Path, name: str) -> None:
    """Of one with songs in it, and of one without."""
    for before in (b"", gzip.compress(b""), gzip.compress(GOOD.encode()), GOOD.encode()):
        (tmp_path / name).write_bytes(before)
        assert songs("export", name).status == 0
    assert songs("export", name).status == 0
