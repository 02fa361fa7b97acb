"""Ids, by clocks that stand still, go back or are far off, and across a fork."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from songs.ports.clock import Clock
from songs_plugins import AdapterContext, NoSettings, Port
from songs_plugins.registry import Registry
from songs_system.system import TimeOrderedIds

MS = 1_767_323_045_678


def test_an_id_begins_with_its_time(clock: Clock, set_ms: Callable[[int], None]) -> None:
    """The first 12 of 32 lower-case hexadecimal digits are the milliseconds since 1970."""
    ids = TimeOrderedIds(clock)
    for since_1970_ms in (MS, MS + 1, MS + 86_400_000, 2**48 // 2):
        set_ms(since_1970_ms)
        made = ids.new_id()
        assert re.fullmatch("[0-9a-f]{32}", made)
        assert int(made[:12], 16) == since_1970_ms


@pytest.mark.parametrize("shifts", [[0] * 5, [0, -1, -2, -3], [0, -3_600_000, -3_599_999, 1, 0], [0, -MS, -MS - 9, 5]])
def test_ids_grow_whatever_the_clock_does(clock: Clock, set_ms: Callable[[int], None], shifts: list[int]) -> None:
    """When the clock stands still or goes back, even before 1970, ids go on growing."""
    ids = TimeOrderedIds(clock)
    made: list[str] = []
    for shift_ms in shifts:
        set_ms(MS + shift_ms)
        made += [ids.new_id() for _ in range(200)]
    assert made == sorted(set(made))


def test_the_time_of_ids_catches_up(clock: Clock, set_ms: Callable[[int], None]) -> None:
    """After the clock went back, ids stay at the time that they had reached, until the clock has passed it."""
    ids = TimeOrderedIds(clock)
    times = []
    for since_1970_ms in (MS, MS - 1000, MS, MS + 1):
        set_ms(since_1970_ms)
        times.append(int(ids.new_id()[:12], 16) - MS)
    assert times == [0, 0, 0, 1]


@pytest.mark.parametrize("since_1970_ms", [-1, 0, 1, MS, 253_402_300_799_999])
def test_generators_that_know_nothing_of_each_other_never_agree(
    clock: Clock, set_ms: Callable[[int], None], since_1970_ms: int
) -> None:
    """Two thousand processes that start within one millisecond make different ids, a wrong clock's too."""
    set_ms(since_1970_ms)
    generators = [TimeOrderedIds(clock) for _ in range(2_000)]
    made = {generator.new_id() for generator in generators for _ in range(5)}
    assert len(made) == 10_000
    assert {len(each) for each in made} == {32}
    assert _closest(generator.new_id() for generator in generators[:20]) > 2**40


def test_the_next_id_does_not_follow_from_the_last(clock: Clock) -> None:
    """Within one millisecond, the steps from one id to the next differ."""
    ids = TimeOrderedIds(clock)
    numbers = [int(ids.new_id(), 16) for _ in range(100)]
    assert len({after - before for before, after in pairwise(numbers)}) == 99


def test_random_bits_that_are_used_up_carry_over(clock: Clock, set_ms: Callable[[int], None]) -> None:
    """Above the last id of a millisecond comes one of the next, and no longer text."""
    set_ms(MS)
    ids = TimeOrderedIds(clock)
    ids._last = (MS + 1 << 80) - 1
    made = [ids.new_id(), ids.new_id()]
    assert made == sorted(set(made))
    assert [int(each[:12], 16) for each in made] == [MS + 1] * 2
    ids._last = (MS + 1 << 80) - 1
    ids._begin_anew()
    assert ids.new_id() > f"{(MS + 1 << 80) - 1:032x}"


def test_threads_never_make_the_same_id(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads within one millisecond: each id is greater than all that were there when it was asked for."""
    monkeypatch.setattr(os, "urandom", _giving_way(os.urandom))
    monkeypatch.setattr(clock, "now", _giving_way(clock.now))
    ids = TimeOrderedIds(clock)
    made = [ids.new_id()]
    too_small: list[str] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait(10)
        for _ in range(500):
            before = made[-1]
            each = ids.new_id()
            made.append(each)
            if each <= before:
                too_small.append(each)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not too_small
    assert len(set(made)) == 4_001


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parent_and_children_never_make_the_same_id(clock: Clock) -> None:
    """Forked within one millisecond, while another thread was making an id: each goes on, with ids of its own."""
    ids = TimeOrderedIds(clock)
    last = ids.new_id()
    with ids._lock:
        pipes = [_forked(ids) for _ in range(3)]
    made = [[ids.new_id() for _ in range(200)], *map(_lines, pipes)]
    assert [len(each) for each in made] == [200] * 4
    assert all(each == sorted(each) and each[0] > last for each in made)
    assert len({one for each in made for one in each}) == 800
    assert _closest(each[0] for each in made) > 2**40


def _giving_way(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return what does the same, and lets another thread run in the middle of making an id."""

    def wrapped(*arguments: Any) -> Any:
        time.sleep(0)
        return call(*arguments)

    return wrapped


def _closest(ids: Iterable[str]) -> int:
    """Return the least distance between two of some ids: ids that grow in small steps from places apart never meet."""
    numbers = sorted(int(each, 16) for each in ids)
    return min(after - before for before, after in pairwise(numbers))


def _forked(ids: TimeOrderedIds) -> tuple[int, int]:
    """Start a child that writes 200 ids; return its process id and where to read them."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        threading.Timer(20, os._exit, [1]).start()  # instead of waiting for ever
        os.write(writing, "\n".join(ids.new_id() for _ in range(200)).encode())
        os._exit(0)
    os.close(writing)
    return child, reading


def _lines(forked: tuple[int, int]) -> list[str]:
    child, reading = forked
    with os.fdopen(reading) as file:
        lines = file.read().splitlines()
    os.waitpid(child, 0)
    return lines


def test_the_clock_of_the_context_is_used(clock: Clock, set_ms: Callable[[int], None]) -> None:
    """The adapter named ``system`` takes the time of its ids from the clock that the service uses."""
    set_ms(MS)
    context = AdapterContext(clock=clock, ids=TimeOrderedIds(clock))
    ids = Registry().get(Port.IDS, "system").build(NoSettings(), context)
    assert int(ids.new_id()[:12], 16) == MS
