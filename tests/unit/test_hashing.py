"""Turns at hashing: who has one, who waits, who is refused."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from songs.application.hashing import FIRST, HashingTurns
from songs.errors import Overloaded
from songs.ports.clock import Deadline
from songs_contract.harness.timing import eventually

PATIENCE_S = 60.0


class _Crowd:
    """Threads that ask for turns, each of which has its turn until it is told to end it."""

    def __init__(self, turns: HashingTurns, clock: Any, pool: ThreadPoolExecutor) -> None:
        self.turns = turns
        self._clock = clock
        self._pool = pool
        self._changed = threading.Condition()
        self._leaving: set[str] = set()
        self.had: list[str] = []

    def ask(self, name: str, rank: int, *, places: int = 0) -> "Future[None]":
        """Have a thread ask; return once it has a turn or is refused, or waits, so that `places` do."""
        before = len(self.had)
        asked = self._pool.submit(self._have_turn, name, rank)
        eventually(
            lambda: asked.done() or (len(self.turns._waiting) == places if places else len(self.had) > before),
            within_s=PATIENCE_S,
        )
        return asked

    def end(self, name: str, following: int) -> None:
        """End a turn, and return once so many had one."""
        with self._changed:
            self._leaving.add(name)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: len(self.had) >= following, PATIENCE_S)

    def end_all(self) -> None:
        """End all turns."""
        with self._changed:
            self._leaving = {"*"}
            self._changed.notify_all()

    def _have_turn(self, name: str, rank: int) -> None:
        with self.turns.turn(rank, Deadline.after(self._clock, PATIENCE_S)), self._changed:
            self.had.append(name)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._leaving & {name, "*"}, PATIENCE_S)


@contextmanager
def _crowd(clock: Any, at_once: int, waiting: int) -> Iterator[_Crowd]:
    with ThreadPoolExecutor(20) as pool:
        crowd = _Crowd(HashingTurns(at_once, waiting), clock, pool)
        try:
            yield crowd
        finally:
            crowd.end_all()


def _is_refused(asked: "Future[None]") -> bool:
    return isinstance(asked.exception(timeout=PATIENCE_S), Overloaded)


def test_the_lowest_rank_is_next(clock: Any) -> None:
    """Among equals who came first."""
    with _crowd(clock, 1, 4) as crowd:
        crowd.ask("a", 3)
        for places, (name, rank) in enumerate([("b", 2), ("c", 1), ("d", 2), ("e", FIRST)], start=1):
            crowd.ask(name, rank, places=places)
        for number, name in enumerate("aecbd", start=1):
            assert crowd.had[number - 1 :] == [name]
            crowd.end(name, min(number + 1, 5))


def test_a_lower_rank_takes_the_place_of_the_highest(clock: Any) -> None:
    """Which is refused at once; of equals, who came last. An equal takes nobody's place."""
    with _crowd(clock, 1, 2) as crowd:
        crowd.ask("a", 9)
        first = crowd.ask("b", 5, places=1)
        second = crowd.ask("c", 5, places=2)
        assert _is_refused(crowd.ask("d", 5))
        assert _is_refused(crowd.ask("e", 6))
        crowd.ask("f", 4, places=2)
        assert _is_refused(second)
        crowd.ask("g", FIRST, places=2)
        assert _is_refused(first)
        for number, name in enumerate("agf", start=1):
            crowd.end(name, min(number + 1, 3))
        assert crowd.had == ["a", "g", "f"]


def test_a_place_is_given_up_in_time(clock: Any) -> None:
    """Who waits no longer than the deadline is refused, and takes nobody's turn."""
    with _crowd(clock, 1, 2) as crowd:
        crowd.ask("a", 1)
        with pytest.raises(Overloaded), crowd.turns.turn(FIRST, Deadline.after(clock, 0.01)):
            pass
        crowd.ask("b", 1, places=1)
        crowd.end("a", 2)
        assert crowd.had == ["a", "b"]


def test_no_turn_is_lost(clock: Any) -> None:
    """After any number of turns, refusals and errors, as many are free as there were."""
    turns = HashingTurns(2, 3)

    def ask(number: int) -> None:
        try:
            with turns.turn(number % 5, Deadline.after(clock, 0.0005 * (number % 3))):
                1 // (number % 7)
        except (Overloaded, ZeroDivisionError):
            return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(5000)))
    assert (turns._free, turns._waiting) == (2, [])
