"""A cache and a limiter that are asked together: for caches that join the limiter of their own name."""

from functools import partial
from pathlib import Path

import pytest

from songs.ports.cache import Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict
from songs_contract.harness.driver import race, returned, unless_a_server_was_late
from songs_contract.harness.fixtures import LIMIT, Both, joined
from songs_contract.harness.subject import Subject, place
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import AdapterSpec, Port

PORT = Port.CACHE


@clause("TOG-1")
@pytest.mark.parametrize("filled", [False, True], ids=["misses", "hits"])
def test_there_is_one_count(both: Both, filled: bool) -> None:  # noqa: FBT001 - a parameter
    """Hits of both kinds count as one, whether the entry is there or not, and verdicts are those of the limiter."""
    if filled:
        both.put(b"value")
    verdicts = []
    for _ in range(4):
        verdicts += [both.hit(), both.limiter.hit("bucket", LIMIT)]
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0, 0]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 3
    assert all(0 < verdict.reset_s <= LIMIT.window_s for verdict in verdicts)


@clause("TOG-1")
def test_other_buckets_and_limits(both: Both) -> None:
    """A hit counts in its bucket, under its limit, and nowhere else."""
    other = RateLimit(7, 60)
    assert both.hit().remaining == 4
    assert both.limiter.hit("another", LIMIT).remaining == 4
    assert both.limiter.hit("bucket", other).remaining == 6
    assert both.hit(limit=other).remaining == 5
    assert both.hit("another").remaining == 3


@clause("TOG-1")
def test_many_at_once(both: Both, rounds: int) -> None:
    """Exactly so many are allowed, however many threads hit at once, either way."""
    limit = RateLimit(50, 60)

    def together(bucket: str) -> int:
        return sum(both.hit(bucket, limit).allowed for _ in range(20))

    def alone(bucket: str) -> int:
        return sum(both.limiter.hit(bucket, limit).allowed for _ in range(20))

    def hits(bucket: str) -> list[int | Exception]:
        return race([partial(together, bucket), partial(alone, bucket)] * 4)

    for _ in range(rounds):
        outcomes = unless_a_server_was_late(hits)
        assert sum(returned(outcomes)) == 50, outcomes


@clause("TOG-2")
@pytest.mark.parametrize("value", [b"", bytes(range(256)), b"x" * 200_000], ids=["nothing", "every byte", "long"])
def test_the_entry_is_that_of_the_cache(both: Both, value: bytes) -> None:
    """What was filled comes back byte for byte, until it is invalidated; what comes next is another value."""
    both.put(value)
    assert [both.get() for _ in range(2)] == [Hit(value)] * 2
    both.cache.invalidate(["group"])
    assert isinstance(both.get(), Miss)
    both.put(b"next")
    assert both.get() == Hit(b"next")


@clause("TOG-2")
def test_names_that_run_together(both: Both) -> None:
    """An entry is found by its group and its key, and no other is taken for it."""
    both.put(b"value")
    for group, key in (("grou", "pkey"), ("groupk", "ey"), ("", "groupkey"), ("group:", "key"), ("GROUP", "key")):
        assert isinstance(both.get(group, key), Miss)
    assert both.get() == Hit(b"value")


@clause("TOG-2")
def test_time_to_live(subject: Subject, both: Both) -> None:
    """An entry whose time is over is not there, and others are."""
    both.put(b"value", "short", ttl_s=0.3)
    both.put(b"value", "long", ttl_s=600.0)
    subject.clock.advance(0.301)
    eventually(lambda: isinstance(both.get(key="short"), Miss), within_s=2.0)
    assert both.get(key="long") == Hit(b"value")


@clause("TOG-3")
def test_a_lease_is_good(both: Both) -> None:
    """A fill with it counts."""
    both.fill(b"value", both.lease())
    assert both.cache.get("group", "key") == Hit(b"value")


@clause("TOG-3")
def test_a_lease_from_before_an_invalidation(both: Both) -> None:
    """A fill with it does not count, before another lease was handed out and after."""
    old = both.lease()
    both.cache.invalidate(["group"])
    both.fill(b"stale", old)
    fresh = both.lease()
    both.fill(b"stale", old)
    assert isinstance(both.cache.get("group", "key"), Miss)
    both.fill(b"fresh", fresh)
    assert both.cache.get("group", "key") == Hit(b"fresh")


@clause("TOG-3")
def test_a_lease_of_another_group(both: Both) -> None:
    """A lease is good for its group alone."""
    both.cache.get("other", "key")
    both.cache.fill("other", "key", b"stale", lease=both.lease(), ttl_s=60.0)
    assert isinstance(both.cache.get("other", "key"), Miss)


@clause("TOG-4")
def test_who_is_refused_gets_the_entry(both: Both) -> None:
    """A hit that is over the limit brings along what one within it does, a lease included."""
    both.put(b"value")
    limit = RateLimit(1, 60)
    both.hit(limit=limit)
    refused, found = both.together.hit_and_get("bucket", limit, "group", "key")
    assert (refused.allowed, found) == (False, Hit(b"value"))
    refused, missed = both.together.hit_and_get("bucket", limit, "group", "another")
    assert not refused.allowed
    assert isinstance(missed, Miss)
    assert missed.lease is not None


@clause("TOG-10")
def test_the_entry_says_whose_it_is(both: Both) -> None:
    """Hit and miss name the identity that the cache gives when it is asked alone."""
    identity = both.cache.ping()
    assert both.get().identity == identity
    both.put(b"value")
    assert both.get() == Hit(b"value")
    assert both.get().identity == identity


@clause("TOG-8")
def test_joining_what_is_not_open_yet(subject: Subject, beside: Subject) -> None:
    """The service joins both before it opens them; what it got works from then on."""
    cache, limiter = subject.build(), beside.build()
    together = joined(cache, limiter)
    assert together is not None, "the limiter has the cache's name and settings"
    cache.open()
    limiter.open()
    assert Both(cache, limiter, together).hit().remaining == 4
    assert limiter.hit("bucket", LIMIT).remaining == 3


@clause("TOG-8")
def test_joining_what_is_open(subject: Subject, beside: Subject) -> None:
    """So it is when both are open, for any two objects that were made with these settings."""
    for _ in range(2):
        assert joined(subject.open(), beside.open()) is not None


@clause("TOG-9")
def test_a_limiter_in_another_place(both: Both, limiter_spec: AdapterSpec, subject: Subject, tmp_path: Path) -> None:
    """It counts for itself, whether it can be asked together with this cache or not."""
    folder = tmp_path / "another"
    folder.mkdir()
    with place(subject.target, limiter_spec, folder) as elsewhere:
        limiter: RateLimiter = elsewhere.open()
        together = joined(both.cache, limiter)
        if together is not None:
            assert Both(both.cache, limiter, together).hit().remaining == 4
            assert limiter.hit("bucket", LIMIT).remaining == 3
    assert both.limiter.hit("bucket", LIMIT).remaining == 4


class _Unlike:
    """A limiter that no adapter has heard of, which counts its hits."""

    hits = 0

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Refuse it."""
        self.hits += 1
        return Verdict(allowed=False, remaining=0, reset_s=1.0)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Do nothing."""


class _Around(_Unlike):
    """One that has all that another limiter has, but for how it counts."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter

    def __getattr__(self, name: str) -> object:
        """Return what the other one has."""
        return getattr(self._limiter, name)


@clause("TOG-9")
@pytest.mark.parametrize("around", [False, True], ids=["unlike", "around its own"])
def test_a_foreign_limiter(both: Both, around: bool) -> None:  # noqa: FBT001 - a parameter
    """It is no error, and nobody else counts in its stead."""
    limiter = _Around(both.limiter) if around else _Unlike()
    together = joined(both.cache, limiter)
    if together is not None:
        assert not Both(both.cache, limiter, together).hit().allowed
        assert limiter.hits == 1
    assert both.limiter.hit("bucket", LIMIT).remaining == 4
