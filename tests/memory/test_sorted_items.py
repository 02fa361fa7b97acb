"""The persistent sorted sequence against a sorted list."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import songs_memory.sorted_items as module
from songs_memory.sorted_items import SortedItems

LONGEST, SHORTEST = 8, 3

ids = st.integers(0, 9_999).map("{:04d}".format)
batches = st.lists(st.tuples(st.booleans(), st.sets(ids, min_size=1, max_size=30)), max_size=12)


@pytest.fixture(scope="module", autouse=True)
def _short_chunks() -> Iterator[None]:
    """Let a few ids make many chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST_CHUNK", LONGEST)
        patch.setattr(module, "SHORTEST_CHUNK", SHORTEST)
        yield


def _changed(sequence: SortedItems[str], model: set[str], changes: list[tuple[bool, set[str]]]) -> SortedItems[str]:
    for add, batch in changes:
        if add:
            new = sorted(batch - model)
            sequence = sequence.plus(new)
            model.update(new)
        else:
            for item in sorted(model)[:: max(1, len(model) // len(batch))]:
                sequence = sequence.minus(item)
                model.discard(item)
    return sequence


@given(changes=batches, after_id=st.none() | ids, offset=st.integers(0, 60), limit=st.integers(0, 30))
def test_a_page_is_a_slice_of_the_sorted_ids(
    changes: list[tuple[bool, set[str]]], after_id: str | None, offset: int, limit: int
) -> None:
    """After any inserts and deletes, a page is what a sorted list gives."""
    model: set[str] = set()
    sequence = _changed(SortedItems[str](str), model, changes)
    after = [item for item in sorted(model) if after_id is None or item > after_id]
    assert sequence.page(limit=limit, after_id=after_id, offset=offset) == after[offset : offset + limit]
    assert list(sequence) == sorted(model)
    assert len(sequence) == len(model)


@given(changes=batches)
def test_an_older_sequence_stays_what_it_was(changes: list[tuple[bool, set[str]]]) -> None:
    """A change makes another sequence and leaves the one it was made of."""
    model = {"0001", "5000", "9998"}
    before = SortedItems[str](str).plus(sorted(model))
    _changed(before, set(model), changes)
    assert list(before) == sorted(model)


def test_chunks_stay_short_and_few() -> None:
    """In order, in reverse or mixed: no chunk is too long, and there are not many more than are needed."""
    count = 2_000
    names = [f"{number:04d}" for number in range(count)]
    mixed = sorted(names, key=lambda name: name[::-1])
    for order in (names, names[::-1], mixed):
        sequence = SortedItems[str](str)
        for item in order:
            sequence = sequence.plus((item,))
        assert max(map(len, sequence._chunks)) <= LONGEST
        assert len(sequence._chunks) <= 4 * count // LONGEST
        for item in mixed[: count - 100]:
            sequence = sequence.minus(item)
        assert list(sequence) == sorted(mixed[count - 100 :])
        assert len(sequence._chunks) <= 2 + 2 * 100 // SHORTEST
