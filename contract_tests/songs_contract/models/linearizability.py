"""Recorded histories of concurrent calls, and whether one is linearizable: each call could be one moment of its time.

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), with the memory of Lowe
("Testing for linearizability", 2017): what was tried from one set of finished calls and one state is not tried again.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
O = TypeVar("O")  # noqa: E741 - an operation


@dataclass(frozen=True, slots=True)
class Recorded(Generic[O]):
    """One call of a history.

    Attributes:
        began: When it was called, by a clock that all callers share.
        ended: When it returned.
        operation: What was asked.
        result: What was answered; None where that is not known: it may have happened, later too, or not.
    """

    began: int
    ended: int
    operation: O
    result: Hashable | None


def first_impossible(
    histories: Sequence[Sequence[Recorded[O]]], initial: S, apply: Callable[[S, O], tuple[S, Hashable]]
) -> Recorded[O] | None:
    """Return the call at which every order of the calls fails; None where the histories are linearizable.

    Args:
        histories: The calls of each caller, one after the other.
        initial: The state at the beginning.
        apply: Returns the next state, and what is to be answered.
    """
    seen: set[tuple[tuple[int, ...], S]] = set()
    furthest: tuple[int, ...] = (0,) * len(histories)
    todo = [(furthest, initial)]
    while todo:
        done, state = todo.pop()
        if (done, state) in seen:
            continue
        seen.add((done, state))
        if sum(done) > sum(furthest):
            furthest = done
        waiting = [
            (who, calls[n]) for who, (calls, n) in enumerate(zip(histories, done, strict=True)) if n < len(calls)
        ]
        if not waiting:
            return None
        # Whatever returned before another was called came before it.
        horizon = min((call.ended for _, call in waiting if call.result is not None), default=None)
        for who, call in waiting:
            following = (*done[:who], done[who] + 1, *done[who + 1 :])
            if call.result is None:
                todo.append((following, state))
            if horizon is None or call.began <= horizon:
                after, answer = apply(state, call.operation)
                if call.result is None or call.result == answer:
                    todo.append((following, after))
    stuck = [calls[n] for calls, n in zip(histories, furthest, strict=True) if n < len(calls)]
    return min(stuck, key=lambda call: call.ended)


Operation = int | str | None
"""A rating of that value, a rating of 1 under that key, or a read."""
State = tuple[tuple[int, ...], frozenset[str]]
"""The five counters, and the keys that were used."""


def rate_or_read(state: State, operation: Operation) -> tuple[State, Hashable]:
    """Return what an operation leaves, and its answer."""
    counters, keys = state
    if operation is None or operation in keys:
        return state, counters
    value = 1 if isinstance(operation, str) else operation
    after = tuple(n + (place == value) for place, n in enumerate(counters, 1))
    return (after, keys | ({operation} if isinstance(operation, str) else set())), after
