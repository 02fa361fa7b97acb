"""When the windows of a rate limiter begin and end."""

import pytest

from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import elapse
from songs_contract.law import clause
from songs_plugins import Port

PORT = Port.LIMITER


@pytest.fixture
def limiter(subject: Subject) -> RateLimiter:
    """The limiter under test, open."""
    if not subject.declares("limits"):
        pytest.skip("declared unsupported: limits")
    opened: RateLimiter = subject.open()
    return opened


@clause("LIM-3")
def test_allowed_hits_do_not_prolong_a_window(subject: Subject, limiter: RateLimiter) -> None:
    """A window ends counted from its first hit, not from its last: the next one has all its hits left but one."""
    limit = RateLimit(3, 1)
    limiter.hit("bucket", limit)
    elapse(subject, 0.6)
    limiter.hit("bucket", limit)
    elapse(subject, 0.45)
    assert limiter.hit("bucket", limit).remaining == 2


@clause("LIM-3")
def test_windows_begin_with_a_hit(subject: Subject, limiter: RateLimiter) -> None:
    """No window ends because a second, a minute or an hour does: whenever it begins, it lasts its whole time."""
    limit = RateLimit(1, 2)
    for n in range(11):
        assert limiter.hit(f"bucket-{n}", limit).allowed
        elapse(subject, 0.2)
        assert not limiter.hit(f"bucket-{n}", limit).allowed, "a window of 2 s ended within 0.2 s"


@clause("LIM-2")
def test_the_time_that_is_left(subject: Subject, limiter: RateLimiter) -> None:
    """`reset_s` gets less as the window passes, and is what the next window is away."""
    limit = RateLimit(2, 2)
    limiter.hit("bucket", limit)
    elapse(subject, 1.0)
    assert 0 < limiter.hit("bucket", limit).reset_s <= 1.0
    refused = limiter.hit("bucket", limit)
    elapse(subject, refused.reset_s + 0.01)
    assert limiter.hit("bucket", limit).allowed
