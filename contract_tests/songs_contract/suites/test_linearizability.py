"""Histories of concurrent calls are such as one caller after the other could have made."""

import time
from collections.abc import Hashable
from functools import partial

from songs.model import RatingStats
from songs_contract.checks import StorageUser, race, rating, returned, song, until_no_conflict
from songs_contract.clauses import clause
from songs_contract.linearizable import Recorded, first_impossible
from songs_plugins import Port

PORT = Port.STORAGE

THREADS = 4
CALLS = 6

Counters = tuple[int, ...]
State = tuple[Counters, frozenset[str]]


def rate_or_read(state: State, operation: int | str | None) -> tuple[State, Hashable]:
    """Return what a rating (a value), a rating under a key (its name), or a read (None) leaves, and its answer."""
    counters, keys = state
    if operation is None or operation in keys:
        return state, counters
    value = operation if isinstance(operation, int) else 1
    after = tuple(n + (place == value) for place, n in enumerate(counters, 1))
    return (after, keys | ({operation} if isinstance(operation, str) else set())), after


def record(use: StorageUser, who: int, round_number: int) -> list[Recorded[int | str | None]]:
    """Rate and read in turn, and note when each call began and ended, and what it answered."""
    history: list[Recorded[int | str | None]] = []
    for n in range(CALLS):
        operation: int | str | None = (None, n % 5 + 1, f"key-{round_number}-{n}")[(n + who) % 3]
        began = time.monotonic_ns()
        stats: RatingStats | None
        if operation is None:
            stats = use.stats()
        else:
            key = operation if isinstance(operation, str) else None
            value = operation if isinstance(operation, int) else 1
            event = rating(f"rating-{round_number}-{who}-{n}", value=value, key=key)
            stats = until_no_conflict(partial(use.rate, event)).stats
        ended = time.monotonic_ns()
        history.append(Recorded(began, ended, operation, stats.distribution if stats is not None else ()))
    return history


@clause("RAT-7", "RAT-4", "RAT-8", "STO-10")
def test_ratings_and_statistics(use: StorageUser, rounds: int) -> None:
    """What ratings and reads of one song answer is what they would answer one after the other."""
    use.add_songs(song())
    for r in range(rounds):
        before = use.stats()
        assert before is not None
        histories = returned(race([partial(record, use, who, r) for who in range(THREADS)]))
        initial: State = (before.distribution, frozenset())
        impossible = first_impossible(histories, initial, rate_or_read)
        assert impossible is None, f"no order of the calls explains {impossible}, among {histories}"
