"""When the windows of a rate limiter begin and end."""

from dataclasses import replace

import pytest

from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.subject import StandingClock, Subject
from songs_contract.harness.timing import elapse, while_it_lasts
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.LIMITER

RESOLUTION_S = 0.01


@clause("LIM-3")
def test_allowed_hits_do_not_prolong_a_window(subject: Subject, limiter: RateLimiter) -> None:
    """A window ends counted from its first hit, not from its last: the next one has all its hits left but one."""
    limit = RateLimit(3, 1)

    def hit_twice(bucket: str) -> str:
        limiter.hit(bucket, limit)
        elapse(subject, 0.6)
        limiter.hit(bucket, limit)
        return bucket

    bucket = while_it_lasts(subject, limit.window_s, hit_twice)
    elapse(subject, 0.45)
    assert limiter.hit(bucket, limit).remaining == 2


@clause("LIM-3")
def test_windows_begin_with_a_hit(subject: Subject, limiter: RateLimiter) -> None:
    """No window ends because a second, a minute or an hour does: whenever it begins, it lasts its whole time."""
    limit = RateLimit(1, 2)

    def hit_twice(bucket: str) -> tuple[bool, bool]:
        first = limiter.hit(bucket, limit).allowed
        elapse(subject, 0.2)
        return first, limiter.hit(bucket, limit).allowed

    for _ in range(11):
        found = while_it_lasts(subject, limit.window_s, hit_twice)
        assert found == (True, False), "a window of 2 s ended within 0.2 s"


@clause("LIM-2")
def test_the_time_that_is_left(subject: Subject, limiter: RateLimiter) -> None:
    """`reset_s` gets less as the window passes, and is what the next window is away."""
    limit = RateLimit(2, 2)

    def use_up(bucket: str) -> tuple[str, float, float]:
        limiter.hit(bucket, limit)
        elapse(subject, 1.0)
        return bucket, limiter.hit(bucket, limit).reset_s, limiter.hit(bucket, limit).reset_s

    bucket, of_last_s, of_refused_s = while_it_lasts(subject, limit.window_s, use_up)
    assert 0 < of_last_s <= 1.0
    elapse(subject, of_refused_s + 0.01)
    assert limiter.hit(bucket, limit).allowed


@clause("LIM-2")
@requires("limits")
@pytest.mark.parametrize("passed_s", [0.33, 0.85])
def test_the_time_that_is_left_is_exact(subject: Subject, limiter: RateLimiter, passed_s: float) -> None:
    """It is not rounded to tenths or seconds, up or down: so many later, and not sooner, another window begins."""
    limit = RateLimit(1, 2)

    def left(bucket: str) -> tuple[str, float]:
        limiter.hit(bucket, limit)
        elapse(subject, passed_s)
        return bucket, limiter.hit(bucket, limit).reset_s

    bucket, left_s = while_it_lasts(subject, limit.window_s, left)
    assert 0 < left_s <= limit.window_s - passed_s + RESOLUTION_S
    elapse(subject, left_s + 0.01)
    assert limiter.hit(bucket, limit).allowed, "the window lasts longer than was said"


@clause("LIM-3")
@requires("limits")
def test_no_hit_comes_back_sooner(subject: Subject, limiter: RateLimiter) -> None:
    """A window that was used up stays so until its end; nothing is refilled meanwhile."""
    limit = RateLimit(20, 2)

    def allowed_again(bucket: str) -> list[bool]:
        for _ in range(limit.amount):
            limiter.hit(bucket, limit)
        found = []
        for _ in range(4):
            elapse(subject, 0.3)
            found.append(limiter.hit(bucket, limit).allowed)
        return found

    found = while_it_lasts(subject, limit.window_s, allowed_again)
    assert found == [False] * 4, "a hit was refilled within the window"


@clause("LIM-2", "LIM-3")
@requires("limits", "not shared")
@pytest.mark.parametrize("window_s", [1, 60])
def test_the_moment_a_window_ends(subject: Subject, window_s: int) -> None:
    """The last moment before is its own; a hit at the very end is the first of the next."""
    clock = StandingClock()
    limiter: RateLimiter = replace(subject, clock=clock).open()
    limit = RateLimit(1, window_s)
    first = limiter.hit("bucket", limit)
    assert (first.allowed, first.reset_s) == (True, window_s)
    clock.advance(window_s - 0.125)
    last = limiter.hit("bucket", limit)
    assert (last.allowed, last.window) == (False, first.window)
    assert 0.125 <= last.reset_s <= 0.125 + RESOLUTION_S
    clock.advance(0.125)
    following = limiter.hit("bucket", limit)
    assert (following.allowed, following.reset_s) == (True, window_s)
    assert following.window != first.window


@clause("LIM-8")
@requires("limits", "not shared")
def test_giving_back_to_a_window_that_has_ended(subject: Subject) -> None:
    """At its end and later it does nothing: neither that window nor the next one allows a hit more."""
    clock = StandingClock()
    limiter: RateLimiter = replace(subject, clock=clock).open()
    limit = RateLimit(1, 60)
    for late_s in (0.0, 0.5):
        window = limiter.hit("bucket", limit).window
        clock.advance(60.0 + late_s)
        limiter.give_back("bucket", limit, window)
        following = limiter.hit("bucket", limit)
        assert (following.allowed, following.reset_s) == (True, 60)
        limiter.give_back("bucket", limit, window)
        assert not limiter.hit("bucket", limit).allowed
        clock.advance(60.0)
