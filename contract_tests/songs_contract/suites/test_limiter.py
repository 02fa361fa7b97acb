"""Rate limiters."""

import tracemalloc
from datetime import timedelta
from functools import partial

import pytest

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.driver import race, returned, unless_a_server_was_late
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually, while_it_lasts
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.LIMITER

A_MINUTE = 60


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

    def use_up(name: str) -> tuple[str, int]:
        return name, allowed(limiter, name, limit, 10)

    def use_up_twice(_name: str) -> tuple[int, int]:
        bucket, hits = while_it_lasts(subject, limit.window_s, use_up)
        subject.clock.advance(0.6)
        limiter.hit(bucket, limit)
        subject.clock.advance(0.5)
        eventually(lambda: limiter.hit(bucket, limit).allowed, within_s=3.0)
        return hits, allowed(limiter, bucket, limit, 10)

    # The second window begins when the first one has ended.
    assert while_it_lasts(subject, 2 * limit.window_s, use_up_twice) == (2, 1)


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


@clause("LIM-7")
def test_windows_have_names(subject: Subject, limiter: RateLimiter) -> None:
    """All hits of a window, refused ones too, have its name; every other window has another one."""
    limits = [RateLimit(2, 1), RateLimit(2, 2), RateLimit(3, 1)]

    def names() -> list[str]:
        found: list[set[str]] = []
        for _ in range(5):  # on a busy machine a window may end between two hits, after which its name is another one
            found = [
                {limiter.hit(bucket, limit).window for _ in range(limit.amount + 2)}
                for bucket in ("a", "b")
                for limit in limits
            ]
            if all(len(each) == 1 for each in found):
                break
        assert [len(each) for each in found] == [1] * len(found), found
        return [name for each in found for name in each]

    before = names()
    assert all(name and name.isascii() and name.isprintable() for name in before), before
    subject.clock.advance(2.1)
    eventually(
        lambda: not {limiter.hit(bucket, limit).window for bucket in ("a", "b") for limit in limits} & set(before),
        within_s=4.0,
    )
    after = names()
    assert len({*before, *after}) == len(before) + len(after), (before, after)


@clause("LIM-7")
@requires("shared", "limits")
def test_a_window_has_one_name_for_everyone(subject: Subject, limiter: RateLimiter) -> None:
    """Whichever process began it."""
    other: RateLimiter = subject.open()
    limit = RateLimit(3, A_MINUTE)
    verdicts = [each.hit("bucket", limit) for each in (limiter, other) * 3]
    assert len({verdict.window for verdict in verdicts}) == 1, verdicts
    serials = [verdict.serial for verdict in verdicts]
    assert serials[0] < serials[1] < serials[2] == serials[3] == serials[4] == serials[5], serials


@clause("LIM-7")
def test_counts_that_were_lost_are_noticed(subject: Subject) -> None:
    """No two limiters that know nothing of each other call a window by one name."""
    if not subject.declares("limits") or subject.declares("shared"):
        pytest.skip("declared unsupported: limits" if not subject.declares("limits") else "its counts are elsewhere")
    limit = RateLimit(3, A_MINUTE)
    first, second = subject.open(), subject.open()
    assert first.hit("bucket", limit).window != second.hit("bucket", limit).window
    name = first.hit("bucket", limit).window
    first.close()
    first.open()
    assert first.hit("bucket", limit).window != name


@clause("LIM-7", "LIM-8")
def test_each_change_raises_the_serial(limiter: RateLimiter) -> None:
    """Each allowed hit and each that is given back; no refused one, and nothing else."""
    limit = RateLimit(3, A_MINUTE)
    name = limiter.hit("bucket", limit).window
    serials = [limiter.hit("bucket", limit).serial for _ in range(2)]
    refused = [limiter.hit("bucket", limit).serial for _ in range(2)]
    assert serials[0] < serials[1] == refused[0] == refused[1], (serials, refused)
    limiter.give_back("bucket", limit, name)
    after = [limiter.hit("bucket", limit).serial for _ in range(2)]
    assert refused[1] + 2 <= after[0] == after[1], (refused, after)


@clause("LIM-8")
def test_a_hit_that_is_given_back(limiter: RateLimiter) -> None:
    """One more is allowed for each, up to the amount, in the same window, which ends when it would have."""
    limit = RateLimit(3, A_MINUTE)
    first = limiter.hit("bucket", limit)
    assert allowed(limiter, "bucket", limit, 5) == 2
    for _ in range(2):
        limiter.give_back("bucket", limit, first.window)
    again = limiter.hit("bucket", limit)
    assert (again.allowed, again.remaining, again.window) == (True, 1, first.window)
    assert again.reset_s <= first.reset_s
    for _ in range(10):
        limiter.give_back("bucket", limit, first.window)
    assert limiter.hit("bucket", limit).remaining == 2


@clause("LIM-8")
def test_a_window_that_begins_with_what_was_given_back(subject: Subject, limiter: RateLimiter) -> None:
    """Though nothing of it is used any more, it lasts and ends as it would have."""
    limit = RateLimit(1, A_MINUTE)
    first = limiter.hit("bucket", limit)
    limiter.give_back("bucket", limit, first.window)
    subject.clock.advance(30.0)
    again = limiter.hit("bucket", limit)
    assert (again.allowed, again.window) == (True, first.window)
    assert again.reset_s <= first.reset_s


@clause("LIM-8")
def test_what_cannot_be_given_back(subject: Subject, limiter: RateLimiter) -> None:
    """To another bucket, limit or window nothing is given back."""
    limit = RateLimit(1, 1)
    name = limiter.hit("bucket", limit).window
    others = [("other", limit), ("bucket", RateLimit(1, A_MINUTE)), ("bucket", RateLimit(2, 1))]
    for bucket, other in others:
        limiter.hit(bucket, other)
        limiter.give_back(bucket, other, name)
        assert limiter.hit(bucket, other).remaining == 0
    for unknown in ("", "unknown", "0" * 16, "é\x00"):
        limiter.give_back("bucket", limit, unknown)
        limiter.give_back("never hit", limit, unknown)
    assert not limiter.hit("bucket", RateLimit(1, A_MINUTE)).allowed
    subject.clock.advance(1.1)
    eventually(lambda: limiter.hit("bucket", limit).allowed, within_s=3.0)
    limiter.give_back("bucket", limit, name)
    assert not limiter.hit("bucket", limit).allowed, "the hit of a window that has ended was given back to the next"


@clause("LIM-1", "LIM-8")
def test_many_are_given_back_at_once(limiter: RateLimiter, rounds: int) -> None:
    """However many threads hit and give back: no change is lost."""
    limit = RateLimit(1000, A_MINUTE)
    for r in range(rounds):
        name = limiter.hit(f"bucket-{r}", limit).window

        def hit_and_give_back(bucket: str = f"bucket-{r}", window: str = name) -> None:
            for _ in range(10):
                limiter.hit(bucket, limit)
                limiter.hit(bucket, limit)
                limiter.give_back(bucket, limit, window)

        outcomes = race([hit_and_give_back] * 8)
        assert returned(outcomes) == [None] * 8, outcomes
        assert limiter.hit(f"bucket-{r}", limit).remaining == 1000 - 82


@clause("LIM-6")
def test_a_closed_limiter(subject: Subject, limiter: RateLimiter) -> None:
    """A limiter that cannot answer says so by the one error that its callers expect."""
    limiter.close()
    limiter.close()
    with pytest.raises(LimiterUnavailable):
        limiter.hit("bucket", RateLimit(1, A_MINUTE))
    with pytest.raises(LimiterUnavailable):
        limiter.give_back("bucket", RateLimit(1, A_MINUTE), "window")
    limiter.open()
    limiter.open()
    limiter.hit("bucket", RateLimit(1, A_MINUTE))
