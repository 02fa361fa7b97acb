"""Ids."""

import multiprocessing
import os
import time
from datetime import timedelta

import pytest

from songs.limits import is_id
from songs.ports.ids import IdGenerator
from songs_contract.harness.driver import race
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.IDS

MAKING_S = 0.1


@pytest.fixture
def ids(subject: Subject) -> IdGenerator:
    """The generator under test."""
    built: IdGenerator = subject.build()
    return built


@clause("IDS-1", "IDS-2")
def test_form_and_order(ids: IdGenerator) -> None:
    """Each is an id, and greater than the one before, also many in one millisecond."""
    made = [ids.new_id() for _ in range(20_000)]
    assert all(map(is_id, made))
    assert made == sorted(set(made))


@clause("IDS-1", "IDS-2")
def test_threads(ids: IdGenerator) -> None:
    """Threads never get the same id, and each sees its own grow."""
    outcomes = race([lambda: [ids.new_id() for _ in range(2_000)] for _ in range(8)])
    made: list[str] = []
    for outcome in outcomes:
        assert isinstance(outcome, list), outcome
        assert outcome == sorted(outcome)
        made += outcome
    assert len(set(made)) == len(made)


@clause("IDS-2")
def test_time_that_stands_still_or_goes_back(
    subject: Subject, ids: IdGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids go on growing when the time of day does not, by the clock of the context or by the machine's."""
    made = [ids.new_id()]
    real_ns = time.time_ns()
    for shift_s in (0, 0, -3600, -3600, 10, -10, 0):
        fixed = real_ns + shift_s * 1_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda fixed=fixed: fixed)
        monkeypatch.setattr(time, "time", lambda fixed=fixed: fixed / 1e9)
        subject.clock.set_wall_clock(timedelta(seconds=shift_s))
        made += [ids.new_id() for _ in range(50)]
    assert made == sorted(set(made))


@clause("IDS-1", "IDS-3")
def test_two_generators(subject: Subject) -> None:
    """Generators that know nothing of each other agree on the order of time, and never on an id."""
    one, other = subject.build(), subject.build()
    made: list[str] = []
    for _ in range(50):
        for generator in (one, other):
            made.append(generator.new_id())
            started = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 == started:
                pass
    assert made == sorted(set(made))


@clause("IDS-4")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="declared unsupported: fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork(ids: IdGenerator) -> None:
    """After a fork, parent and children make ids of their own, also in the same millisecond."""
    ids.new_id()
    context = multiprocessing.get_context("fork")
    queue, together = context.SimpleQueue(), context.Barrier(3)

    def make() -> list[str]:
        together.wait(30)
        made = []
        # So long that they are sure to be at it at the same time.
        ends_at_s = time.monotonic() + MAKING_S
        while time.monotonic() < ends_at_s:
            made.append(ids.new_id())
        return made

    children = [context.Process(target=lambda: queue.put(make())) for _ in range(2)]
    for child in children:
        child.start()
    made = make()
    for _ in children:
        made += queue.get()
    for child in children:
        child.join(30)
    assert len(set(made)) == len(made), "parent and child made the same id"
