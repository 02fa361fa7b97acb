"""Limiters that many use: threads, an object that is opened again or closed meanwhile, and another process."""

from functools import partial

from songs.errors import LimiterUnavailable
from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.driver import close_while_in_use, race, returned
from songs_contract.harness.processes import another_process
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.LIMITER

LIMIT = RateLimit(5, 3600)
THREADS = 6


@clause("LIM-1", "LIM-4")
@requires("limits")
def test_threads_get_their_own_verdicts(limiter: RateLimiter, rounds: int) -> None:
    """No thread is given the verdict of another one's bucket."""

    def hit(name: str) -> None:
        for n in range(10 * rounds):
            bucket, limit = f"{name} {n}", RateLimit(5 + n, 3600)
            try:
                left = [limiter.hit(bucket, limit).remaining for _ in range(3)]
            except LimiterUnavailable:
                continue
            assert left == [limit.amount - 1, limit.amount - 2, limit.amount - 3], bucket

    returned(race([partial(hit, str(n)) for n in range(THREADS)]))


@clause("LIM-6")
@requires("limits")
def test_opening_what_is_open(limiter: RateLimiter) -> None:
    """It does nothing: counts stay."""
    before = limiter.hit("bucket", LIMIT)
    limiter.open()
    after = limiter.hit("bucket", LIMIT)
    assert (after.remaining, after.window) == (3, before.window)


@clause("LIM-6")
@requires("limits")
def test_closing_what_is_in_use(limiter: RateLimiter, rounds: int) -> None:
    """Hits of other threads are counted, or end with the one error, and with nothing else."""

    def hit() -> None:
        limiter.give_back("bucket", LIMIT, limiter.hit("bucket", LIMIT).window)

    close_while_in_use(limiter, [hit] * 3, LimiterUnavailable, times=10 * rounds)


@clause("LIM-1", "LIM-7", "LIM-8")
@requires("limits", "shared")
def test_another_process_counts_the_same(subject: Subject, limiter: RateLimiter) -> None:
    """Each hit of one is seen by the next of the other, in one window, and so is what is given back."""
    window = limiter.hit("bucket", LIMIT).window
    with another_process(subject) as other:
        hit = partial(other.ask, "hit", "bucket", LIMIT.amount, LIMIT.window_s)
        assert hit() == [True, 3, window]
        assert limiter.hit("bucket", LIMIT).remaining == 2
        assert hit() == [True, 1, window]
        assert limiter.hit("bucket", LIMIT).remaining == 0
        assert hit() == [False, 0, window]
        limiter.give_back("bucket", LIMIT, window)
        assert hit() == [True, 0, window]
        other.ask("give_back", "bucket", LIMIT.amount, LIMIT.window_s, window)
        assert limiter.hit("bucket", LIMIT).allowed
        assert not limiter.hit("bucket", LIMIT).allowed
