"""Clocks."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from songs.ports.clock import Clock
from songs_contract.harness.driver import race
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.CLOCK

READINGS = 10
TRIES = 10


@pytest.fixture
def clock(subject: Subject) -> Clock:
    """The clock under test."""
    built: Clock = subject.build()
    return built


@clause("CLK-1")
def test_the_time_of_day(clock: Clock, time_zone: str) -> None:
    """It is UTC in whole milliseconds, wherever the machine stands, and goes on from one reading to the next."""
    for _ in range(READINGS):
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        now = clock.now()
        assert before <= now <= datetime.now(UTC)
        assert now.tzinfo is UTC
        assert now.microsecond % 1000 == 0
        time.sleep(0.001)


@clause("CLK-2")
def test_monotonic(clock: Clock) -> None:
    """It never goes back, and all threads see one clock."""

    def readings() -> list[float]:
        return [clock.monotonic_s() for _ in range(5_000)]

    clock.monotonic_s()
    clock.sleep(0.02)
    before = clock.monotonic_s()
    outcomes = race([readings] * 4)
    after = clock.monotonic_s()
    for outcome in outcomes:
        assert isinstance(outcome, list), outcome
        assert outcome == sorted(outcome)
        assert before <= outcome[0]
        assert outcome[-1] <= after


@clause("CLK-2")
def test_a_time_of_day_that_is_set_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock does not follow it."""
    before = clock.monotonic_s()
    earlier_ns = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: earlier_ns)
    monkeypatch.setattr(time, "time", lambda: earlier_ns / 1e9)
    assert clock.monotonic_s() >= before


@clause("CLK-2")
def test_its_seconds_are_seconds(clock: Clock) -> None:
    """As much passes on it as on the machine's own, no other unit, neither faster nor slower."""
    began_s, read_s, reading_s = time.monotonic(), clock.monotonic_s(), time.monotonic()
    time.sleep(0.2)
    at_least_s = time.monotonic() - reading_s
    passed_s = clock.monotonic_s() - read_s
    at_most_s = time.monotonic() - began_s
    # It shows whole milliseconds, perhaps, and two clocks of one machine may drift apart a little.
    assert at_least_s - 0.0015 <= passed_s <= at_most_s + 0.0015


@clause("CLK-2")
def test_each_millisecond_shows(clock: Clock) -> None:
    """Between two readings that differ there is no more than a millisecond, where nothing else holds them up."""
    smallest_s, last_s = 1.0, clock.monotonic_s()
    ends_at_s = time.monotonic() + 5
    while smallest_s > 0.001 and time.monotonic() < ends_at_s:
        now_s = clock.monotonic_s()
        if now_s > last_s:
            smallest_s = min(smallest_s, now_s - last_s)
        last_s = now_s
    assert smallest_s <= 0.0011


@clause("CLK-3")
@pytest.mark.parametrize("duration_s", [0.0019, 0.02])
def test_sleeping(clock: Clock, duration_s: float) -> None:
    """Not shorter than asked for; nothing and less than nothing returns at once."""

    def slept_s(asked_s: float) -> float:
        started_s = clock.monotonic_s()
        clock.sleep(asked_s)
        return clock.monotonic_s() - started_s

    # Several: on a busy machine one sleep lasts long enough by itself, and a call that returns at once for long.
    assert min(slept_s(duration_s) for _ in range(TRIES)) >= duration_s - 0.0005
    assert min(slept_s(0.0) for _ in range(TRIES)) < 0.5
    assert min(slept_s(-1.0) for _ in range(TRIES)) < 0.5


@clause("CLK-3")
def test_others_read_the_clock_meanwhile(clock: Clock) -> None:
    """A thread that sleeps keeps nobody from the time."""

    def reading_s() -> float:
        begun = threading.Event()

        def sleep() -> None:
            begun.set()
            clock.sleep(0.1)

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        begun.wait()
        time.sleep(0.01)
        began_s = time.monotonic()
        clock.now()
        clock.monotonic_s()
        took_s = time.monotonic() - began_s
        sleeper.join()
        return took_s

    # On a busy machine one reading may take as long by itself.
    assert min(reading_s() for _ in range(TRIES)) < 0.04
