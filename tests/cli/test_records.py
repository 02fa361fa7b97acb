"""Files are split right wherever the pieces end, and in constant memory."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs_api.files import records as module
from songs_api.files.records import CHUNK_BYTES, records

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


class _Endless:
    """A file of `size` bytes, all the same, after the first one."""

    def __init__(self, first: bytes, size: int) -> None:
        self.first = first
        self.left = size

    def read(self, size: int = -1, /) -> bytes:
        first, self.first = self.first, b""
        amount = min(size, self.left)
        self.left -= amount
        return first + b"x" * (amount - len(first))


@pytest.mark.parametrize("first", [b"{", b"["])
def test_a_line_without_an_end_takes_no_memory(first: bytes) -> None:
    """64 MB on one line, or in one element of an array, are refused with a few megabytes in memory."""
    file: Any = _Endless(first, 64_000_000)
    tracemalloc.start()
    try:
        found = list(records(file))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert [record.text for record in found] == [None]
    assert peak < 4 * module.MAX_RECORD_BYTES + 8 * CHUNK_BYTES
