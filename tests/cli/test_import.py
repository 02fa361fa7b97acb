"""`songs import`: what is right gets in, what is wrong is told by line, and nothing of it stops the rest."""

import gc
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.running import HANGS_S

Songs = Callable[..., Any]

ROWS: list[dict[str, Any]] = [
    {"artist": "Antonín Dvořák", "title": "Humoresque", "difficulty": 11.125, "level": 9, "released": "1894-01-01"},
    {"artist": "滝廉太郎", "title": "荒城の月", "difficulty": 5, "level": 4, "released": "1901-03-01"},
    {"artist": "Traditional", "title": 'Say "a, b" [c] {d} \\', "difficulty": 0, "level": 0, "released": "0001-01-01"},
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS, indent=2, ensure_ascii=False).encode()


def _line(**changes: Any) -> bytes:
    return json.dumps({**ROWS[0], **changes}).encode()


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        LINES.rstrip(),
        LINES.replace(b"\n", b"\r\n\r\n"),
        b"\xef\xbb\xbf" + LINES,
        ARRAY,
        b"\n " + ARRAY,
        gzip.compress(LINES),
        gzip.compress(ARRAY),
        gzip.compress(LINES[:50]) + gzip.compress(LINES[50:]),
        gzip.compress(LINES) + bytes(700),
        gzip.compress(b"\xef\xbb\xbf" + ARRAY),
        b"\n" * 70_000 + LINES + b"\r\n" * 70_000,
        b" " * 200_000 + b"\n" + LINES,
        b" \n" * 70_000 + ARRAY,
        b" " * 200_000 + ARRAY,
        json.dumps(ROWS).replace("}, {", "}" + " " * 70_000 + "," + " " * 70_000 + "{").encode(),
    ],
    ids=[
        *("lines", "no-last-newline", "crlf-blank", "bom", "array", "array-later", "gz", "array-gz", "two-members"),
        *("gz-padded", "bom-gz", "blank-lines", "blanks", "array-after-blank-lines", "array-after-blanks"),
        "array-of-blanks",
    ],
)
def test_every_form_of_a_file_is_read(songs: Songs, tmp_path: Path, content: bytes) -> None:
    """JSON Lines, an array, and gzip of both, told apart by what they hold and not by their names."""
    (tmp_path / "file").write_bytes(content)

    ran = songs("import", "file")

    assert (ran.status, ran.out, ran.err) == (0, "added 3, updated 0, unchanged 0, refused 0\n", "")


def test_standard_input_is_read(songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash stands for it."""
    (tmp_path / "file").write_bytes(gzip.compress(LINES))

    with (tmp_path / "file").open() as redirected:
        monkeypatch.setattr(sys, "stdin", redirected)
        assert songs("import", "-").out == "added 3, updated 0, unchanged 0, refused 0\n"


def test_an_import_can_be_repeated(songs: Songs, tmp_path: Path) -> None:
    """The same songs change nothing; another difficulty or level is a change; another date is another song."""
    (tmp_path / "first").write_bytes(LINES)
    (tmp_path / "second").write_bytes(b"\n".join([_line(), _line(released="1894-01-02"), LINES.splitlines()[1]]))
    (tmp_path / "third").write_bytes(_line(level=10))

    songs("import", "first")
    assert songs("import", "first").out == "added 0, updated 0, unchanged 3, refused 0\n"
    assert songs("import", "second").out == "added 1, updated 0, unchanged 2, refused 0\n"
    assert songs("import", "third").out == "added 0, updated 1, unchanged 0, refused 0\n"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "The line is not JSON"),
        (b"[]]", "not JSON"),
        (b"3", "must be an object"),
        (b'{"artist": "a", "artist": "b"}', "two members of one name"),
        (_line(difficulty=float("nan")), "NaN"),
        (_line(difficulty=1.0001), "/difficulty: must have at most 3 decimals"),
        (_line(difficulty="7"), "/difficulty: must be a number"),
        (_line(level=7.5), "/level"),
        (_line(level=True), "/level"),
        (_line(title=""), "/title"),
        (_line(title="a\0b"), "/title: must not contain control characters"),
        (_line(title="\ud800"), "surrogate"),
        (_line(released="1900-02-29"), "/released: must be a date that exists"),
        (_line(id="1"), "/id: is not known here"),
        (b'{"artist": "x"}', "/title: is required"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 5000, "nested"),
        (_line(title="x" * 65_536), "is longer than 65536 bytes"),
    ],
)
def test_a_wrong_line_is_told_and_left_out(songs: Songs, tmp_path: Path, bad: bytes, reason: str) -> None:
    """Its number and the reason are on standard error, the others are imported, the exit status is 1."""
    first, *others = LINES.splitlines()
    (tmp_path / "file").write_bytes(b"\n".join([first, b"", bad, *others]))

    ran = songs("import", "file")

    assert (ran.status, ran.out) == (1, "added 3, updated 0, unchanged 0, refused 1\n")
    assert ran.err.startswith("line 3: ")
    assert reason in ran.err
    assert ran.err.count("\n") == 1


def test_a_wrong_element_is_told_by_the_line_where_it_begins(songs: Songs, tmp_path: Path) -> None:
    """An array over several lines: too long, wrong, missing; the others are imported."""
    elements = [_line(), b'{"artist":\n 1}', b"", _line(title="x" * 65_536), b'"text"', LINES.splitlines()[1]]
    (tmp_path / "file").write_bytes(b"[" + b",\n".join(elements) + b"]")

    ran = songs("import", "file")

    assert (ran.status, ran.out) == (1, "added 2, updated 0, unchanged 0, refused 4\n")
    assert [line.split(":")[0] for line in ran.err.splitlines()] == ["line 2", "line 4", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("content", "added", "problem"),
    [
        (gzip.compress(LINES * 3000, 1)[:-300], 3, "cut off here: its gzip data has no end"),
        (gzip.compress(LINES)[:-8] + bytes(8), None, "its gzip data cannot be read"),
        (ARRAY[:-30], 2, "the array has no end"),
        (ARRAY + b" 3", 3, "something after the end of the array"),
        (ARRAY[:-1] + b"}", 2, "the array ends with a brace"),
    ],
    ids=["gz-cut", "gz-damaged", "array-cut", "array-more", "array-brace"],
)
def test_what_is_readable_of_a_broken_file_is_imported(
    songs: Songs, tmp_path: Path, content: bytes, added: int | None, problem: str
) -> None:
    """The place where it breaks is told, and the exit status is 1."""
    (tmp_path / "file").write_bytes(content)

    ran = songs("import", "file")

    assert ran.status == 1
    assert problem in ran.err
    assert ran.err.count("\n") == 1
    if added is not None:
        assert ran.out.startswith(f"added {added},")


@pytest.mark.parametrize("name", ["nosuch", "."])
def test_an_unreadable_file_is_one_line(songs: Songs, name: str) -> None:
    """Exit status 2, the file's name and the reason."""
    ran = songs("import", name)

    assert ran.status == 2
    assert ran.err.startswith(f"songs: {name} cannot be read: ")
    assert ran.err.count("\n") == 1


def test_a_storage_that_forgets_is_refused(songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be gone when the command ends is not imported."""
    (tmp_path / "file").write_bytes(LINES)
    monkeypatch.setenv("SONGS_STORAGE", "memory")

    ran = songs("import", "file")

    assert ran.status == 2
    assert "'memory' keeps nothing after this command" in ran.err


def test_the_collector_is_spared_what_was_imported(songs: Songs, tmp_path: Path) -> None:
    """A storage in memory keeps it all: walking through that again and again would make each batch slower."""
    file = tmp_path / "songs.jsonl"
    file.write_bytes(LINES)
    gc.unfreeze()
    try:
        assert songs("import", str(file)).out.startswith("added 3")
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


MEASURED = """
import resource, sys
from songs_api.cli import run
status = run(["import", sys.argv[1]])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _resident_kb(file: Path) -> int:
    """Return how much memory a process of its own held at most while it imported the file."""
    environment = {**os.environ, "SONGS_STORAGE": "sqlite", "SONGS_SQLITE_PATH": str(file.with_suffix(".db"))}
    command = [sys.executable, "-c", MEASURED, str(file)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=HANGS_S)
    return int(ran.stdout.split()[-1])


@pytest.mark.parametrize("filling", [b"\n", b'{"a":'], ids=["newlines", "objects"])
def test_a_small_file_that_unpacks_to_much_takes_no_memory(tmp_path: Path, filling: bytes) -> None:
    """The whole process, over real storage: 6 MB in a gzip file of some kilobytes, beside a file of one song."""
    (tmp_path / "small").write_bytes(_line())
    (tmp_path / "bomb").write_bytes(gzip.compress(filling * (6_000_000 // len(filling)) + b"\n" + _line()))

    assert _resident_kb(tmp_path / "bomb") < _resident_kb(tmp_path / "small") + 4_000
