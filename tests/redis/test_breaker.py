"""The circuit breaker: who is let in, and when."""

import threading
from typing import Any

import pytest
from pydantic import SecretStr

from songs.errors import Unavailable
from songs.ports.limiter import RateLimit
from songs.ports.meter import Unmetered
from songs_plugins import AdapterContext, AdapterSpec, Port
from songs_redis import plugin
from songs_redis.breaker import Breaker
from songs_redis.client import RedisSettings


def test_while_all_is_well(clock: Any) -> None:
    """Everyone is let in."""
    breaker = Breaker(clock)
    assert [breaker.admit() for _ in range(3)] == [0, 0, 0]
    breaker.worked()
    assert breaker.admit() == 0


def test_after_a_failure(clock: Any) -> None:
    """Nobody is for a second; then one caller, and nobody else before that one knows."""
    breaker = Breaker(clock)
    breaker.failed(breaker.admit() or 0)
    clock.sleep(0.999)
    assert breaker.admit() is None
    clock.sleep(0.001)
    assert [breaker.admit() for _ in range(3)] == [1, None, None]
    breaker.worked()
    assert [breaker.admit() for _ in range(3)] == [1, 1, 1]


def test_pauses_grow(clock: Any) -> None:
    """Each failure of a trial doubles the pause, up to five seconds; a success starts over."""
    breaker = Breaker(clock)
    breaker.failed(0)
    pauses_s = []
    for _ in range(5):
        waited_s = 0.0
        while (ticket := breaker.admit()) is None:
            clock.sleep(0.5)
            waited_s += 0.5
        pauses_s.append(waited_s)
        breaker.failed(ticket)
    assert pauses_s == [1.0, 2.0, 4.0, 5.0, 5.0]
    breaker.worked()
    breaker.failed(breaker.admit() or 0)
    clock.sleep(1.0)
    assert breaker.admit() is not None


def test_many_calls_that_fail_together(clock: Any) -> None:
    """They count as one failure, however late some of them end."""
    breaker = Breaker(clock)
    tickets = [breaker.admit() for _ in range(8)]
    for ticket in tickets[:7]:
        breaker.failed(ticket or 0)
    clock.sleep(1.0)
    assert breaker.admit() == 1
    breaker.worked()
    breaker.failed(tickets[7] or 0)
    assert breaker.admit() == 1


def test_a_trial_that_never_reports(clock: Any) -> None:
    """Another one is let in after the same pause."""
    breaker = Breaker(clock)
    breaker.failed(0)
    clock.sleep(1.0)
    assert breaker.admit() == 1
    clock.sleep(1.0)
    assert breaker.admit() == 1


def test_a_probe(clock: Any) -> None:
    """It is let in during a pause, and its success ends the pause."""
    breaker = Breaker(clock)
    breaker.failed(0)
    assert breaker.admit() is None
    assert breaker.probe() == 1
    breaker.worked()
    assert breaker.admit() == 1


def test_many_threads_at_the_end_of_a_pause(clock: Any) -> None:
    """Exactly one is let in."""
    breaker = Breaker(clock)
    breaker.failed(0)
    clock.sleep(1.0)
    start, tickets = threading.Barrier(8), list[int | None]()

    def ask() -> None:
        start.wait()
        tickets.append(breaker.admit())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ticket is None for ticket in tickets) == [False] + [True] * 7


class Noting(Unmetered):
    """A meter that notes what breakers do."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, bool]] = []

    def breaker(self, adapter: str, *, is_open: bool) -> None:
        """Note it."""
        self.noted.append((adapter, is_open))


def test_the_meter_is_told_when_it_opens_and_when_it_closes(clock: Any) -> None:
    """Once each, however many calls fail or work meanwhile."""
    meter = Noting()
    breaker = Breaker(clock, meter)
    breaker.worked()
    for _ in range(2):
        breaker.failed(breaker.probe())
    assert meter.noted == [("redis", True)]
    for _ in range(2):
        breaker.worked()
    assert meter.noted == [("redis", True), ("redis", False)]


@pytest.mark.parametrize("spec", plugin.songs_adapters(), ids=lambda spec: spec.port)
def test_adapters_tell_the_meter_that_they_are_given(clock: Any, spec: AdapterSpec) -> None:
    """The one of their context."""
    meter = Noting()
    settings = RedisSettings(url=SecretStr("redis://127.0.0.1:1"))
    adapter: Any = spec.build(settings, AdapterContext(clock=clock, ids=clock, meter=meter))
    adapter.open()

    with pytest.raises(Unavailable):
        adapter.hit("bucket", RateLimit(1, 1)) if spec.port is Port.LIMITER else adapter.get("group", "key")

    assert meter.noted == [("redis", True)]
