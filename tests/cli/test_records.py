"""Files are split right wherever the pieces end, and in constant memory."""

import bz2
import gzip
import io
import json
import lzma
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs_api import records as module
from songs_api.records import FileUnusable, records

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{},\n é'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\[,', max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


class _Dripping(io.BytesIO):
    """A file that hands over a few bytes at a time."""

    step = 1

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self.step, size if size is not None and size >= 0 else self.step))


@given(values=st.lists(VALUES, min_size=1, max_size=6), step=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_an_array_is_split_into_its_elements(values: list[Any], step: int, indent: int | None) -> None:
    """Whatever the elements hold, and wherever the pieces end."""
    file = _Dripping(json.dumps(values, indent=indent, ensure_ascii=False).encode())
    file.step = step

    assert [json.loads(record.text or b"!") for record in records(file)] == values


@given(values=st.lists(VALUES, max_size=6), step=st.integers(1, 40))
def test_lines_are_split(values: list[Any], step: int) -> None:
    """JSON Lines, wherever the pieces end, with the right numbers."""
    wrapped = [{"value": value} for value in values]
    file = _Dripping("\n".join(json.dumps(value) for value in wrapped).encode())
    file.step = step

    found = list(records(file))
    assert [json.loads(record.text or b"!") for record in found] == wrapped
    assert [record.line for record in found] == list(range(1, len(values) + 1))


SONG = b'{"artist":"a","title":"b","difficulty":1,"level":1,"released":"2000-01-01"}'
SIZE = 1_000_000
"""Bytes of each hostile file: more than may be in memory."""


def _of(piece: bytes) -> bytes:
    return piece * (SIZE // len(piece))


HOSTILE = {
    "a line without an end": _of(b"x"),
    "a string without an end": b'{"artist":"' + _of(b"x"),
    "an element without an end": b'["' + _of(b"x"),
    "escapes without an end": b'["' + _of(b"\\"),
    "blanks in one line": _of(b" "),
    "blank lines": _of(b" \n  "),
    "blank lines of CRLF": _of(b"   \r\n"),
    "blank lines, then an array": _of(b"   \n") + b"[" + SONG + b"]",
    "blank lines in an array": b"[" + SONG + b"," + _of(b"\n") + SONG + b"]",
    "blanks after an element": b"[" + SONG + _of(b" ") + b"]",
    "blanks in an element": b"[{" + _of(b" ") + b"}]",
    "blank lines after an array": b"[" + SONG + b"]" + _of(b"\n"),
    "an array in one line": b"[" + _of(SONG + b",") + SONG + b"]",
    "an array of nothing": b"[" + _of(b"[      ],") + b"0]",
    "a line of arrays": b"{" + _of(b"[],"),
    "arrays in arrays": _of(b"["),
    "objects in objects": _of(b'{"a":'),
    "objects in an array": b"[" + _of(b'{"a":'),
    "a huge number": _of(b"9"),
    "a huge number in an array": b"[" + _of(b"9"),
    "a byte order mark, then blanks": b"\xef\xbb\xbf" + _of(b"   \r\n"),
    "other bytes": bytes(range(1, 256)) + _of(b"\xff"),
    "half lines": _of(SONG + b"\n")[:-5],
}


def _peak_of(content: bytes) -> tuple[int, int]:
    """Return how many bytes were in memory at most while the content was split, and into how many records."""
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        count = sum(1 for _ in records(file))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak, count


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_does_not_grow_with_the_file(name: str) -> None:
    """Whatever it holds: a few times the longest song is in memory, not the file, nor what is packed in it."""
    peak, _ = _peak_of(gzip.compress(HOSTILE[name], 1))

    assert peak < 12 * module.MAX_RECORD_BYTES < SIZE


def test_members_without_content_take_no_memory() -> None:
    """Thousands of empty members in one gzip file, with a song at the end."""
    content = gzip.compress(b"") * 5_000 + gzip.compress(SONG)

    peak, count = _peak_of(content)

    assert count == 1
    assert peak < 12 * module.MAX_RECORD_BYTES


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (SONG.decode().encode("utf-16"), "is text in UTF-16"),
        (SONG.decode().encode("utf-16-be"), "is binary, or text in UTF-16 or UTF-32"),
        (SONG.decode().encode("utf-16-le"), "is binary, or text in UTF-16 or UTF-32"),
        (SONG.decode().encode("utf-32"), "is text in UTF-32"),
        (b"\0\0\xfe\xff" + SONG.decode().encode("utf-32-be"), "is text in UTF-32"),
        (SONG.decode().encode("utf-32-be"), "is binary, or text in UTF-16 or UTF-32"),
        (gzip.compress(gzip.compress(SONG)), "is compressed by gzip twice; unpack it once"),
        (bz2.compress(SONG), "is compressed by bzip2; unpack it"),
        (lzma.compress(SONG), "is compressed by xz; unpack it"),
        (b"PK\x03\x04rest", "is a ZIP archive; unpack it"),
        (b"SQLite format 3\0rest", "is an SQLite database"),
    ],
)
def test_a_file_of_another_kind_is_refused_as_a_whole(content: bytes, why: str) -> None:
    """One message says what it is, in place of one for each of its lines."""
    with pytest.raises(FileUnusable, match=why):
        list(records(io.BytesIO(content)))


class _Failing(io.BytesIO):
    """A file whose disk fails after some bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if not found:
            raise OSError(5, "Input/output error")
        return found


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_that_cannot_be_read_to_its_end(packed: bool) -> None:
    """What came before is returned; then the reason, with the line. A file that cannot be read at all is refused."""
    content = gzip.compress(SONG + b"\n" + SONG)[:-8] if packed else SONG + b"\n" + SONG

    whole, cut = records(_Failing(content))

    assert (whole.line, whole.text) == (1, SONG)
    assert (cut.line, cut.problem, cut.final) == (
        2,
        "from here on the file cannot be read: Input/output error",
        True,
    )
    with pytest.raises(FileUnusable, match=r"^cannot be read: Input/output error$"):
        list(records(_Failing(b"")))


def test_one_limit_holds_for_lines_and_elements() -> None:
    """A song of as many bytes as are allowed is read, of one more is refused, and the next one is read."""
    longest = b'"' + b"x" * (module.MAX_RECORD_BYTES - 2) + b'"'
    for text in (
        b"%b\n%b \n%b" % (longest, b"x" + longest, SONG),
        b"[%b,\n%b ,\n%b]" % (longest, b" %b1" % longest, SONG),
    ):
        found = list(records(io.BytesIO(text)))
        assert [record.text for record in found] == [longest, None, SONG]
        assert [record.line for record in found] == [1, 2, 3]
