"""Clocks."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from songs.ports.clock import Clock
from songs_contract.harness.driver import race
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.CLOCK


@pytest.fixture
def clock(subject: Subject) -> Clock:
    """The clock under test."""
    built: Clock = subject.build()
    return built


@pytest.fixture(params=["UTC", "Pacific/Chatham", "America/St_Johns"])
def time_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """A time zone of the machine."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@clause("CLK-1")
def test_the_time_of_day(clock: Clock, time_zone: str) -> None:
    """It is UTC in whole milliseconds, wherever the machine stands."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = clock.now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


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


@clause("CLK-3")
def test_sleeping(clock: Clock) -> None:
    """Not shorter than asked for; nothing and less than nothing returns."""

    def slept_s() -> float:
        started_s = clock.monotonic_s()
        clock.sleep(0.02)
        return clock.monotonic_s() - started_s

    # Several: on a busy machine one sleep lasts long enough by itself.
    assert min(slept_s() for _ in range(10)) >= 0.02
    clock.sleep(0.0)
    clock.sleep(-1.0)
