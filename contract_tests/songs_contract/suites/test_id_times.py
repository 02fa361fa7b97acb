"""Ids by the clock: while it stands still, over decades, in several generators, and after a fork."""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from songs.limits import is_id
from songs.ports.ids import IdGenerator
from songs_contract.harness.subject import StandingClock, Subject
from songs_contract.harness.timing import CHILD_S
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.IDS

MANY = 70_000
GENERATORS = 20
FORKS = 8
YEARS = (2020, 2026, 2027, 2033, 2038, 2039, 2054, 2070, 2080, 2089, 2090, 2106, 2107, 2120, 2150, 2199)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    """A clock that stands still; the machine's time of day is the same."""
    standing = StandingClock()
    monkeypatch.setattr(time, "time_ns", lambda: round(standing.at.timestamp() * 1000) * 1_000_000)
    monkeypatch.setattr(time, "time", lambda: round(standing.at.timestamp(), 3))
    return standing


def generator(subject: Subject, clock: StandingClock) -> IdGenerator:
    """Return a new generator that goes by this clock."""
    built: IdGenerator = replace(subject, clock=clock).build()
    return built


@contextmanager
def the_same_random_numbers() -> Iterator[None]:
    """Let whoever draws from `random` get what others get who begin here, as after a fork, or where a test seeds it."""
    before = random.getstate()
    random.seed(7)
    try:
        yield
    finally:
        random.setstate(before)


@clause("IDS-1", "IDS-2")
def test_many_while_time_stands_still(subject: Subject, clock: StandingClock) -> None:
    """No number within a millisecond ends: ids stay ids, and grow, at any speed."""
    ids = generator(subject, clock)
    made = [ids.new_id() for _ in range(MANY)]
    assert made == sorted(set(made))
    assert all(map(is_id, (made[0], made[-1])))


@clause("IDS-2", "IDS-3")
def test_order_over_decades(subject: Subject, clock: StandingClock) -> None:
    """Whenever ids are made, by one generator or each by a new one, the later are the greater, to the millisecond."""
    clock.at = datetime(1970, 1, 10, tzinfo=UTC)
    old = generator(subject, clock)
    by_one, by_many = [old.new_id()], []
    for year in YEARS:
        for at in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, 998_000, tzinfo=UTC)):
            for clock.at in (at, at + timedelta(milliseconds=1)):
                by_one.append(old.new_id())
                by_many.append(generator(subject, clock).new_id())
    assert all(map(is_id, by_one + by_many))
    assert by_one == sorted(set(by_one))
    assert by_many == sorted(set(by_many))


@clause("IDS-1")
def test_many_generators_at_one_moment(subject: Subject, clock: StandingClock) -> None:
    """Generators that begin in one millisecond, in one process or with one seed, make ids of their own."""
    made: list[str] = []
    for _ in range(GENERATORS):
        with the_same_random_numbers():
            ids = generator(subject, clock)
            made += [ids.new_id() for _ in range(1_000)]
    assert len(set(made)) == len(made), "two generators made the same id"


@clause("IDS-4")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="declared unsupported: fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_others_make_ids(subject: Subject) -> None:
    """A child makes ids, whatever other threads of its parent were doing when it was forked off."""
    ids: IdGenerator = subject.build()
    context = multiprocessing.get_context("fork")
    stop = threading.Event()

    def keep_making() -> None:
        while not stop.is_set():
            ids.new_id()

    threads = [threading.Thread(target=keep_making, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    stuck = 0
    try:
        for _ in range(FORKS):
            child = context.Process(target=ids.new_id)
            child.start()
            child.join(CHILD_S)
            if child.is_alive():
                stuck += 1
                child.kill()
                child.join()
                break
    finally:
        stop.set()
        for thread in threads:
            thread.join(CHILD_S)
    assert not stuck, f"a child made no id within {CHILD_S:g} s"
