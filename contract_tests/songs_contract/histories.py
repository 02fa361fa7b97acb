"""Recorded histories: callers that rate one song and read its statistics, and what that means."""

import time
from collections.abc import Hashable, Iterator
from functools import partial

from songs_contract.checks import StorageUser, rating, until_no_conflict
from songs_contract.linearizable import Recorded

Operation = int | str | None
"""A rating of that value, a rating of 1 under that key, or a read."""
State = tuple[tuple[int, ...], frozenset[str]]
"""The five counters, and the keys that were used."""

CALLS = 6


def record(use: StorageUser, who: int, round_number: int) -> Iterator[Recorded[Operation]]:
    """Rate and read song-1 in turn, and yield when each call began and ended, and what it answered."""
    for n in range(CALLS):
        operation: Operation = (None, n % 5 + 1, f"key-{round_number}-{n}")[(n + who) % 3]
        # The monotonic clock is the same in every process of a machine.
        began = time.monotonic_ns()
        if operation is None:
            stats = use.stats()
        else:
            key, value = (operation, 1) if isinstance(operation, str) else (None, operation)
            event = rating(f"rating-{round_number}-{who}-{n}", value=value, key=key)
            stats = until_no_conflict(partial(use.rate, event)).stats
        ended = time.monotonic_ns()
        yield Recorded(began, ended, operation, stats.distribution if stats is not None else ())


def rate_or_read(state: State, operation: Operation) -> tuple[State, Hashable]:
    """Return what an operation leaves, and its answer."""
    counters, keys = state
    if operation is None or operation in keys:
        return state, counters
    value = 1 if isinstance(operation, str) else operation
    after = tuple(n + (place == value) for place, n in enumerate(counters, 1))
    return (after, keys | ({operation} if isinstance(operation, str) else set())), after
