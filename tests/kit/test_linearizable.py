"""The checker of histories finds those that no order explains, and no others."""

import pytest

from songs_contract.models.linearizability import Recorded, first_impossible

Operation = int | None
Histories = list[list[Recorded[Operation]]]


def register(state: int, operation: Operation) -> tuple[int, int]:
    """Write a number, or read it."""
    return (state, state) if operation is None else (operation, operation)


def write(began: int, ended: int, value: int, *, known: bool = True) -> Recorded[Operation]:
    """Return a write."""
    return Recorded(began, ended, value, value if known else None)


def read(began: int, ended: int, value: int) -> Recorded[Operation]:
    """Return a read and what it saw."""
    return Recorded(began, ended, None, value)


POSSIBLE: dict[str, Histories] = {
    "nothing": [[]],
    "one after the other": [[write(0, 1, 5)], [read(2, 3, 5)]],
    "a read during the write sees it": [[write(0, 9, 5)], [read(1, 2, 5)]],
    "a read during the write does not see it": [[write(0, 9, 5)], [read(1, 2, 0)]],
    "two reads during the write": [[write(0, 9, 5)], [read(1, 2, 0), read(3, 4, 5)]],
    "an unknown write that happened late": [[write(0, 1, 5, known=False)], [read(2, 3, 0), read(4, 5, 5)]],
    "an unknown write that never happened": [[write(0, 1, 5, known=False)], [read(2, 3, 0), read(4, 5, 0)]],
}
IMPOSSIBLE: dict[str, Histories] = {
    "a read after the write does not see it": [[write(0, 1, 5)], [read(2, 3, 0)]],
    "what was seen is gone": [[write(0, 9, 5)], [read(1, 2, 5), read(3, 4, 0)]],
    "a read sees what comes later": [[read(0, 1, 5)], [write(2, 3, 5)]],
    "two readers see two orders": [
        [write(0, 9, 1)],
        [write(0, 9, 2)],
        [read(10, 11, 1), read(12, 13, 2)],
    ],
    "nobody wrote it": [[read(0, 1, 7)]],
    "an unknown write before it was called": [[read(0, 1, 5)], [write(2, 3, 5, known=False)]],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_is_possible(name: str) -> None:
    """An order exists."""
    assert first_impossible(POSSIBLE[name], 0, register) is None


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_is_impossible(name: str) -> None:
    """No order exists, and a call is named."""
    assert first_impossible(IMPOSSIBLE[name], 0, register) is not None


def test_any_order_of_counting() -> None:
    """A counter's history is possible, and is not when one of its answers is another."""
    histories: Histories = [[], [], []]
    for total in range(1, 61):
        # Each begins before the one before it has ended, so that the order is to be found.
        histories[total % 3].append(Recorded(10 * total, 10 * total + 25, 1, total))

    def count(state: int, operation: Operation) -> tuple[int, int]:
        return state + 1, state + 1

    assert first_impossible(histories, 0, count) is None
    broken = [list(calls) for calls in histories]
    broken[1][2] = Recorded(broken[1][2].began, broken[1][2].ended, 1, 999)
    assert first_impossible(broken, 0, count) == broken[1][2]
