"""Rate limiters."""

import tracemalloc
from datetime import timedelta
from functools import partial

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.checks import race, returned, unless_a_server_was_late
from songs_contract.clauses import clause, requires
from songs_contract.subject import Subject
from songs_contract.waiting import eventually
from songs_plugins import Port

PORT = Port.LIMITER

A_MINUTE = 60


@pytest.fixture
def limiter(subject: Subject) -> RateLimiter:
    """The limiter under test, open."""
    if not subject.declares("limits"):
        pytest.skip("declared unsupported: limits")
    opened: RateLimiter = subject.open()
    return opened


def allowed(limiter: RateLimiter, bucket: str, limit: RateLimit, hits: int) -> int:
    """Return how many of so many hits are allowed."""
    return sum(limiter.hit(bucket, limit).allowed for _ in range(hits))


@clause("LIM-1")
@pytest.mark.parametrize("amount", [1, 2, 7, 100])
def test_the_first_hits_are_allowed(limiter: RateLimiter, amount: int) -> None:
    """Exactly so many, and they are the first."""
    limit = RateLimit(amount, A_MINUTE)
    verdicts = [limiter.hit("bucket", limit).allowed for _ in range(amount + 5)]
    assert verdicts == [True] * amount + [False] * 5


@clause("LIM-1")
def test_many_at_once(limiter: RateLimiter, rounds: int) -> None:
    """Exactly so many, however many threads hit at once."""
    limit = RateLimit(50, A_MINUTE)

    def hits(bucket: str) -> list[int | Exception]:
        return race([partial(allowed, limiter, bucket, limit, 20)] * 8)

    for _ in range(rounds):
        outcomes = unless_a_server_was_late(hits)
        assert sum(returned(outcomes)) == 50, outcomes


@clause("LIM-2")
def test_what_a_verdict_says(limiter: RateLimiter) -> None:
    """How many are left after this hit, and in how many seconds the window ends."""
    limit = RateLimit(3, A_MINUTE)
    verdicts = [limiter.hit("bucket", limit) for _ in range(5)]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0, 0]
    assert all(0 < verdict.reset_s <= A_MINUTE for verdict in verdicts)


@clause("LIM-1", "LIM-3")
def test_windows_end(subject: Subject, limiter: RateLimiter) -> None:
    """After the window the bucket is as new, though refused hits went on until its end."""
    limit = RateLimit(2, 1)
    assert allowed(limiter, "bucket", limit, 10) == 2
    subject.clock.advance(0.6)
    limiter.hit("bucket", limit)
    subject.clock.advance(0.5)
    eventually(lambda: limiter.hit("bucket", limit).allowed, within_s=3.0)
    assert allowed(limiter, "bucket", limit, 10) == 1


@clause("LIM-3")
def test_windows_last(subject: Subject, limiter: RateLimiter) -> None:
    """A window does not end early, nor is it prolonged by hits."""
    limit = RateLimit(1, A_MINUTE)
    first = limiter.hit("bucket", limit)
    subject.clock.advance(30.0)
    second = limiter.hit("bucket", limit)
    assert (first.allowed, second.allowed) == (True, False)
    assert second.reset_s <= first.reset_s


@clause("LIM-3")
@pytest.mark.parametrize("ahead", [timedelta(days=-400), timedelta(days=400)])
def test_a_wall_clock_that_jumps(subject: Subject, limiter: RateLimiter, ahead: timedelta) -> None:
    """The time of day has no part in it."""
    limit = RateLimit(1, A_MINUTE)
    assert limiter.hit("bucket", limit).allowed
    subject.clock.set_wall_clock(ahead)
    assert not limiter.hit("bucket", limit).allowed
    assert limiter.hit("another", limit).allowed


@clause("LIM-1")
@requires("shared", "limits")
def test_everyone_counts_together(subject: Subject, limiter: RateLimiter) -> None:
    """Hits through several objects count as one."""
    other: RateLimiter = subject.open()
    limit = RateLimit(5, A_MINUTE)
    assert [each.hit("bucket", limit).allowed for each in (limiter, other) * 4] == [True] * 5 + [False] * 3


@clause("LIM-1")
@requires("not limits")
def test_a_limiter_without_limits(subject: Subject) -> None:
    """It allows everything, which is what it declares."""
    unlimited: RateLimiter = subject.open()
    assert allowed(unlimited, "bucket", RateLimit(1, A_MINUTE), 100) == 100


@clause("LIM-4")
def test_buckets_are_independent(limiter: RateLimiter) -> None:
    """Names of any characters make buckets of their own."""
    limit = RateLimit(1, A_MINUTE)
    names = [
        "a",
        "A",
        "",
        " ",
        "a:b",
        "a/b",
        "a\x00b",
        "é",
        "e\u0301",
        "addr:::1",
        "addr:::1:1",
        "x" * 2000,
        "x" * 2001,
    ]
    assert [limiter.hit(name, limit).allowed for name in names] == [True] * len(names)
    assert [limiter.hit(name, limit).allowed for name in names] == [False] * len(names)


@clause("LIM-4")
def test_limits_are_independent(limiter: RateLimiter) -> None:
    """Two limits on one bucket count apart."""
    limits = [RateLimit(1, A_MINUTE), RateLimit(2, A_MINUTE), RateLimit(1, A_MINUTE * 2), RateLimit(11, 6)]
    for limit in limits:
        assert allowed(limiter, "bucket", limit, 20) == limit.amount


@clause("LIM-5")
def test_ended_windows_take_no_memory(subject: Subject, limiter: RateLimiter) -> None:
    """This process's memory does not grow with the buckets of the past."""
    limit = RateLimit(1, 1)

    def hit_new_buckets(generation: int) -> int:
        for n in range(500):
            limiter.hit(f"{generation:010d}-{n:010d}".ljust(100, "x"), limit)
        subject.clock.advance(2.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        taken = [hit_new_buckets(generation) for generation in range(6)]
    finally:
        tracemalloc.stop()
    # Adapters that go by a server's clock keep their windows there. Each of 500 names has 100 bytes and more.
    assert taken[-1] - taken[1] < 100_000, taken


@clause("LIM-6")
def test_a_closed_limiter(subject: Subject, limiter: RateLimiter) -> None:
    """A limiter that cannot answer says so by the one error that its callers expect."""
    limiter.close()
    limiter.close()
    with pytest.raises(LimiterUnavailable):
        limiter.hit("bucket", RateLimit(1, A_MINUTE))
    limiter.open()
    limiter.open()
    limiter.hit("bucket", RateLimit(1, A_MINUTE))
