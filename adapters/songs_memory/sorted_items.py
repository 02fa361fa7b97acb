"""A persistent sorted sequence: every change returns a new one, which shares most of the old one."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, Generic, TypeVar

LONGEST_CHUNK: Final = 512
SHORTEST_CHUNK: Final = 128

Item = TypeVar("Item")
Chunk = tuple[Item, ...]


class SortedItems(Generic[Item]):
    """Items in the order of their keys, ASCII strings that are distinct, in chunks. Immutable.

    A change copies one chunk and the tuple of chunks: some microseconds, also at a million items. Finding a key is
    O(log n), and skipping an offset costs one step a chunk, not one an item.

    Args:
        key: Returns the key of an item; `str` for items that are their own keys.
        chunks: The items of the sequence, in parts that are not empty.
        length: How many items there are.
    """

    __slots__ = ("_chunks", "_key", "_length")

    def __init__(self, key: Callable[[Item], str], chunks: tuple[Chunk[Item], ...] = (), length: int = 0) -> None:
        self._key = key
        self._chunks = chunks
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self._chunks)

    def plus(self, items: Sequence[Item]) -> "SortedItems[Item]":
        """Return the sequence with `items` as well, which are sorted, distinct, and none of them in it yet."""
        key, chunks = self._key, list(self._chunks)
        end = len(items)
        while end:
            # From the back: the positions of the chunks before stay what they are.
            at = self._chunk_of(key(items[end - 1]))
            start = bisect_left(items, key(chunks[at][0]), 0, end, key=key) if at else 0
            chunks[at : at + 1] = self._merged(chunks[at : at + 1], tuple(items[start:end]))
            end = start
        return SortedItems(key, tuple(chunks), self._length + len(items))

    def minus(self, item: Item) -> "SortedItems[Item]":
        """Return the sequence without `item`, which is in it."""
        key, chunks = self._key, list(self._chunks)
        at = self._chunk_of(key(item))
        position = bisect_left(chunks[at], key(item), key=key)
        rest = chunks[at][:position] + chunks[at][position + 1 :]
        chunks[at : at + 1] = [rest] if rest else []
        if 0 < len(rest) < SHORTEST_CHUNK and len(chunks) > 1:
            left = min(at, len(chunks) - 2)
            if len(chunks[left]) + len(chunks[left + 1]) <= LONGEST_CHUNK:
                chunks[left : left + 2] = [chunks[left] + chunks[left + 1]]
        return SortedItems(key, tuple(chunks), self._length - 1)

    def page(self, *, limit: int, after_id: str | None = None, offset: int = 0) -> list[Item]:
        """Return at most `limit` items with keys greater than `after_id`, without the first `offset` of these."""
        at = start = 0
        if after_id is not None and self._chunks:
            at = self._chunk_of(after_id)
            start = bisect_right(self._chunks[at], after_id, key=self._key)
        taken: list[Item] = []
        start += max(offset, 0)
        while at < len(self._chunks) and len(taken) < limit:
            chunk = self._chunks[at]
            if start < len(chunk):
                taken += chunk[start : start + limit - len(taken)]
            start = max(0, start - len(chunk))
            at += 1
        return taken

    def _chunk_of(self, sought: str) -> int:
        """Return the position of the chunk in which the item with this key is, or would be."""
        return max(0, bisect_right(self._chunks, sought, key=lambda chunk: self._key(chunk[0])) - 1)

    def _merged(self, chunk: list[Chunk[Item]], more: Chunk[Item]) -> list[Chunk[Item]]:
        """Return the chunks that take the place of one, or of none."""
        if not chunk:
            return _split(more)
        (before,) = chunk
        if self._key(before[-1]) < self._key(more[0]):
            # Items mostly come in order: leaving a full chunk as it is keeps chunks full, where halving it would not.
            return [before + more] if len(before) + len(more) <= LONGEST_CHUNK else [before, *_split(more)]
        return _split(tuple(sorted(before + more, key=self._key)))


def _split(items: Chunk[Item]) -> list[Chunk[Item]]:
    """Return `items` in equal parts that are not too long."""
    parts = -(-len(items) // LONGEST_CHUNK)
    size = -(-len(items) // parts)
    return [items[start : start + size] for start in range(0, len(items), size)]
