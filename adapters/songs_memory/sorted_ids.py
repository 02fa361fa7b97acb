"""A persistent sorted sequence of ids: every change returns a new sequence, which shares most of the old one."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final

LONGEST_CHUNK: Final = 512
SHORTEST_CHUNK: Final = 128

Chunk = tuple[str, ...]

_first = itemgetter(0)


class SortedIds:
    """Distinct ids, ascending as ASCII strings, in chunks. Immutable.

    A change copies one chunk and the tuple of chunks: some microseconds, also at a million ids. Finding an id is
    O(log n), and skipping an offset costs one step a chunk, not one an id.
    """

    __slots__ = ("_chunks", "_length")

    def __init__(self, chunks: tuple[Chunk, ...] = (), length: int = 0) -> None:
        self._chunks = chunks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._chunks)

    def plus(self, ids: Sequence[str]) -> "SortedIds":
        """Return the sequence with `ids` as well, which are sorted, distinct, and none of them in it yet."""
        chunks = list(self._chunks)
        if not chunks:
            return SortedIds(tuple(_split(tuple(ids))), len(ids))
        end = len(ids)
        while end:
            # From the back: the positions of the chunks before stay what they are.
            at = self._chunk_of(ids[end - 1])
            start = bisect_left(ids, chunks[at][0], 0, end) if at else 0
            chunks[at : at + 1] = _merge(chunks[at], tuple(ids[start:end]))
            end = start
        return SortedIds(tuple(chunks), self._length + len(ids))

    def minus(self, item: str) -> "SortedIds":
        """Return the sequence without `item`, which is in it."""
        chunks = list(self._chunks)
        at = self._chunk_of(item)
        position = bisect_left(chunks[at], item)
        rest = chunks[at][:position] + chunks[at][position + 1 :]
        chunks[at : at + 1] = [rest] if rest else []
        if 0 < len(rest) < SHORTEST_CHUNK and len(chunks) > 1:
            left = min(at, len(chunks) - 2)
            if len(chunks[left]) + len(chunks[left + 1]) <= LONGEST_CHUNK:
                chunks[left : left + 2] = [chunks[left] + chunks[left + 1]]
        return SortedIds(tuple(chunks), self._length - 1)

    def page(self, *, limit: int, after_id: str | None = None, offset: int = 0) -> list[str]:
        """Return at most `limit` ids greater than `after_id`, without the first `offset` of these."""
        at = start = 0
        if after_id is not None and self._chunks:
            at = self._chunk_of(after_id)
            start = bisect_right(self._chunks[at], after_id)
        taken: list[str] = []
        start += offset
        while at < len(self._chunks) and len(taken) < limit:
            chunk = self._chunks[at]
            if start < len(chunk):
                taken += chunk[start : start + limit - len(taken)]
            start = max(0, start - len(chunk))
            at += 1
        return taken

    def _chunk_of(self, item: str) -> int:
        """Return the position of the chunk in which `item` is, or would be."""
        return max(0, bisect_right(self._chunks, item, key=_first) - 1)


def _merge(chunk: Chunk, more: Chunk) -> list[Chunk]:
    if chunk[-1] < more[0]:
        # Ids mostly come in order: leaving a full chunk as it is keeps chunks full, where halving it would not.
        return [chunk + more] if len(chunk) + len(more) <= LONGEST_CHUNK else [chunk, *_split(more)]
    return _split(tuple(sorted(chunk + more)))


def _split(ids: Chunk) -> list[Chunk]:
    """Return `ids` in equal parts that are not too long."""
    if not ids:
        return []
    parts = -(-len(ids) // LONGEST_CHUNK)
    size = -(-len(ids) // parts)
    return [ids[start : start + size] for start in range(0, len(ids), size)]
