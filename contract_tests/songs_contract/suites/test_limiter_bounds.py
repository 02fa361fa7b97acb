"""Buckets whose names are nearly the same, limits of 0, and counts and windows beyond what few bytes hold."""

from dataclasses import asdict

import pytest

from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.near_misses import any_texts
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.LIMITER

A_MINUTE = 60
LONGEST = 2_000
FEW_HITS = 300
MANY_HITS = 66_000
BUCKETS = 1_100


@clause("LIM-4")
@requires("limits")
def test_near_misses(limiter: RateLimiter) -> None:
    """A bucket whose name is nearly another one's is another bucket, to hits and to what is given back."""
    limit = RateLimit(1, 3600)
    names = any_texts(LONGEST)
    verdicts = [limiter.hit(name, limit) for name in names]
    assert [name for name, verdict in zip(names, verdicts, strict=True) if not verdict.allowed] == []
    for name, verdict in zip(names[::2], verdicts[::2], strict=True):
        limiter.give_back(name, limit, verdict.window)
    assert [n for n, name in enumerate(names) if limiter.hit(name, limit).allowed] == list(range(0, len(names), 2))


@clause("LIM-4")
@requires("limits")
def test_buckets_and_limits_that_run_together(limiter: RateLimiter) -> None:
    """Bucket, amount and window are told apart, whatever joins them."""
    limited = [
        ("b", RateLimit(1, 1160)),
        ("b", RateLimit(11, 160)),
        ("b", RateLimit(116, 600)),
        ("b1", RateLimit(1, 160)),
        ("b1", RateLimit(11, 60)),
        ("b11", RateLimit(1, 60)),
        ("b:1", RateLimit(1, 160)),
        ("b:1:1", RateLimit(1, 60)),
        ("1:b", RateLimit(1, 160)),
        ("1:1:b", RateLimit(1, 60)),
    ]
    for bucket, limit in limited:
        assert limiter.hit(bucket, limit).remaining == limit.amount - 1, f"{bucket!r}, {limit} is not new"


@clause("LIM-1", "LIM-2", "LIM-7")
@requires("limits")
def test_a_limit_of_nothing(limiter: RateLimiter) -> None:
    """It allows no hit, whether or not there is a window."""
    limit = RateLimit(0, 3600)
    verdicts = [limiter.hit("bucket", limit) for _ in range(3)]
    assert [(verdict.allowed, verdict.remaining) for verdict in verdicts] == [(False, 0)] * 3
    assert all(0 < verdict.reset_s <= limit.window_s for verdict in verdicts)
    assert all(verdict.window and verdict.window.isascii() for verdict in verdicts)
    limiter.give_back("bucket", limit, verdicts[0].window)
    assert not limiter.hit("bucket", limit).allowed, "a hit was given back that had not been allowed"


@clause("LIM-1", "LIM-7")
@requires("limits")
def test_many_hits(subject: Subject, limiter: RateLimiter) -> None:
    """Each counts, and changes the serial, beyond what one byte holds, and two."""
    # Over a network as many would take long.
    limit = RateLimit(FEW_HITS if subject.declares("shared") else MANY_HITS, 86_400)
    verdicts = [limiter.hit("bucket", limit) for _ in range(limit.amount + 1)]
    assert [n for n, verdict in enumerate(verdicts, 1) if not verdict.allowed] == [limit.amount + 1]
    assert [verdict.remaining for verdict in verdicts[:-1]] == list(range(limit.amount - 1, -1, -1))
    serials = [verdict.serial for verdict in verdicts[:-1]]
    assert serials == sorted(set(serials)), "a serial came again within the window"
    assert len({verdict.window for verdict in verdicts}) == 1


@clause("LIM-1", "LIM-2")
@requires("limits")
@pytest.mark.parametrize("amount", [65_536, 2**31, 2**32])
def test_high_limits(limiter: RateLimiter, amount: int) -> None:
    """A limit is not cut to what two bytes, or four, hold."""
    assert [limiter.hit("bucket", RateLimit(amount, A_MINUTE)).remaining for _ in range(2)] == [amount - 1, amount - 2]


@clause("LIM-3")
@requires("limits")
@pytest.mark.parametrize("days", [1, 31, 366])
def test_long_windows(limiter: RateLimiter, days: int) -> None:
    """A window of months is one, neither a date nor nothing."""
    limit = RateLimit(1, days * 86_400)
    first, second = (limiter.hit("bucket", limit) for _ in range(2))
    assert (first.allowed, second.allowed) == (True, False)
    assert limit.window_s - 60 < second.reset_s <= limit.window_s


@clause("LIM-1")
@requires("limits")
def test_many_buckets(limiter: RateLimiter) -> None:
    """However many there are, none of them is forgotten before its window ends."""
    limit = RateLimit(1, 3600)
    for expected in (BUCKETS, 0):
        assert sum(limiter.hit(f"bucket-{n}", limit).allowed for n in range(BUCKETS)) == expected


@clause("LIM-2")
@requires("limits")
def test_types(limiter: RateLimiter) -> None:
    """A verdict's members have the types that it states, so that whoever writes them down need not look."""
    limit = RateLimit(1, A_MINUTE)
    for verdict in (limiter.hit("bucket", limit), limiter.hit("bucket", limit)):
        kinds = {name: type(value) for name, value in asdict(verdict).items()}
        reset = kinds.pop("reset_s")
        assert kinds == {"allowed": bool, "remaining": int, "window": str, "serial": int}
        assert reset in {float, int}


@clause("LIM-8")
@requires("limits")
@pytest.mark.parametrize("window", ["\ud800", "\0", " ", "x" * 2_000, "0", "-1", "\n"])
def test_names_of_windows_that_never_were(limiter: RateLimiter, window: str) -> None:
    """To them nothing is given back, and that is no error, nor the end of anything."""
    limit = RateLimit(1, A_MINUTE)
    limiter.hit("bucket", limit)
    limiter.give_back("bucket", limit, window)
    assert not limiter.hit("bucket", limit).allowed
