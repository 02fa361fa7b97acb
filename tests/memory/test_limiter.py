"""The limiter: exact counts, windows, and what it forgets."""

import threading
from collections.abc import Callable

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.clock import Clock
from songs.ports.limiter import RateLimit, Verdict
from songs_memory.limiter import MemoryLimiter


@pytest.fixture
def limiter(clock: Clock) -> MemoryLimiter:
    """An open limiter."""
    limiter = MemoryLimiter(clock)
    limiter.open()
    return limiter


def test_a_window_begins_with_its_first_hit(limiter: MemoryLimiter, advance: Callable[[float], None]) -> None:
    """It ends `window_s` later; refused hits neither prolong it nor count in the next one."""
    limit = RateLimit(2, 10)
    assert limiter.hit("b", limit) == Verdict(allowed=True, remaining=1, reset_s=10.0)
    advance(4)
    assert limiter.hit("b", limit) == Verdict(allowed=True, remaining=0, reset_s=6.0)
    advance(5.5)
    assert limiter.hit("b", limit) == Verdict(allowed=False, remaining=0, reset_s=0.5)
    advance(0.5)
    assert limiter.hit("b", limit) == Verdict(allowed=True, remaining=1, reset_s=10.0)


def test_buckets_and_limits_are_independent(limiter: MemoryLimiter) -> None:
    """A hit on one bucket under one limit counts for no other."""
    limits = [RateLimit(1, 10), RateLimit(1, 60), RateLimit(2, 10)]
    assert all(limiter.hit(bucket, limit).allowed for bucket in ("a", "a:1", "") for limit in limits)
    assert not limiter.hit("a", limits[0]).allowed
    assert not limiter.hit("a", limits[1]).allowed
    assert limiter.hit("a", limits[2]).allowed


def test_exactly_the_amount_is_allowed_to_many_threads(limiter: MemoryLimiter) -> None:
    """8 threads with 500 hits each on a limit of 1,000: 1,000 are allowed, each with another remainder."""
    limit, threads = RateLimit(1_000, 60), 8
    start, verdicts = threading.Barrier(threads), list[Verdict]()

    def work() -> None:
        start.wait()
        verdicts.extend([limiter.hit("b", limit) for _ in range(500)])

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(v.remaining for v in verdicts if v.allowed) == list(range(1_000))
    assert len(verdicts) == 4_000


def test_ended_windows_are_cleared_away(limiter: MemoryLimiter, advance: Callable[[float], None]) -> None:
    """A hit on any bucket clears what has ended, under every limit, and nothing that has not."""
    for number in range(1_500):
        limiter.hit(f"short {number}", RateLimit(5, 10))
        limiter.hit(f"long {number % 10}", RateLimit(5, 100))
    advance(10)
    assert limiter.hit("short 1200", RateLimit(5, 10)).remaining == 4
    limiter.hit("other", RateLimit(5, 1))
    assert {window_s: len(windows) for window_s, windows in (limiter._windows or {}).items()} == {10: 1, 100: 10, 1: 1}


def test_a_limiter_that_is_not_open_says_so(clock: Clock) -> None:
    """A hit raises LimiterUnavailable before `open` and after `close`."""
    limiter = MemoryLimiter(clock)
    with pytest.raises(LimiterUnavailable):
        limiter.hit("b", RateLimit(1, 1))
    limiter.open()
    limiter.hit("b", RateLimit(1, 1))
    limiter.close()
    with pytest.raises(LimiterUnavailable):
        limiter.hit("b", RateLimit(1, 1))
