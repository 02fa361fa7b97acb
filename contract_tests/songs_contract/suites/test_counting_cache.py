"""A cache that counts hits as well: for caches that have `count_and_get`."""

from functools import partial
from pathlib import Path

import pytest

from songs.ports.cache import CountingCache, Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter
from songs_contract.harness.driver import race, returned, unless_a_server_was_late
from songs_contract.harness.fixtures import LIMIT, CountingCacheUser
from songs_contract.harness.near_misses import any_texts
from songs_contract.harness.subject import Subject, place
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import AdapterSpec, Port

PORT = Port.CACHE

LONGEST = 1_200
LONGEST_BUCKET = 2_000


@clause("TOG-1")
@pytest.mark.parametrize("filled", [False, True], ids=["misses", "hits"])
def test_there_is_one_count(counting: CountingCacheUser, filled: bool) -> None:  # noqa: FBT001 - a parameter
    """Hits of both kinds count as one, whether the entry is there or not, and verdicts are those of the limiter."""
    if filled:
        counting.put(b"value")
    verdicts = []
    for _ in range(4):
        verdicts += [counting.hit(), counting.cache.hit("bucket", LIMIT)]
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0, 0]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 3
    assert all(0 < verdict.reset_s <= LIMIT.window_s for verdict in verdicts)


@clause("TOG-1")
def test_other_buckets_and_limits(counting: CountingCacheUser) -> None:
    """A hit counts in its bucket, under its limit, and nowhere else."""
    other = RateLimit(7, 60)
    assert counting.hit().remaining == 4
    assert counting.cache.hit("another", LIMIT).remaining == 4
    assert counting.cache.hit("bucket", other).remaining == 6
    assert counting.hit(limit=other).remaining == 5
    assert counting.hit("another").remaining == 3


@clause("TOG-1")
def test_the_verdict_is_the_limiters(counting: CountingCacheUser) -> None:
    """It names the window that `hit` names, counts changes on, and what it counted can be given back."""
    verdicts = [counting.hit(), counting.cache.hit("bucket", LIMIT), counting.hit()]
    assert len({verdict.window for verdict in verdicts}) == 1
    assert verdicts[0].serial < verdicts[1].serial < verdicts[2].serial
    counting.cache.give_back("bucket", LIMIT, verdicts[2].window)
    assert counting.cache.hit("bucket", LIMIT).remaining == verdicts[2].remaining
    assert [type(verdict.allowed) for verdict in verdicts] == [bool] * 3


@clause("TOG-1")
def test_near_misses_of_buckets(counting: CountingCacheUser) -> None:
    """A bucket is the one that `hit` counts in, and none whose name is nearly the same."""
    names = any_texts(LONGEST_BUCKET)
    assert [name for name in names if counting.hit(name).remaining != LIMIT.amount - 1] == []
    assert [name for name in names if counting.cache.hit(name, LIMIT).remaining != LIMIT.amount - 2] == []


@clause("TOG-1")
def test_a_limit_of_nothing(counting: CountingCacheUser) -> None:
    """It allows no hit, and brings the entry all the same."""
    counting.put(b"value")
    verdict, found = counting.cache.count_and_get("bucket", RateLimit(0, 60), "group", "key")
    assert (verdict.allowed, verdict.remaining, found) == (False, 0, Hit(b"value"))


@clause("TOG-1")
def test_many_at_once(counting: CountingCacheUser, rounds: int) -> None:
    """Exactly so many are allowed, however many threads hit at once, either way."""
    limit = RateLimit(50, 60)

    def count_and_get(bucket: str) -> int:
        return sum(counting.hit(bucket, limit).allowed for _ in range(20))

    def count(bucket: str) -> int:
        return sum(counting.cache.hit(bucket, limit).allowed for _ in range(20))

    def hits(bucket: str) -> list[int | Exception]:
        return race([partial(count_and_get, bucket), partial(count, bucket)] * 4)

    for _ in range(rounds):
        outcomes = unless_a_server_was_late(hits)
        assert sum(returned(outcomes)) == 50, outcomes


@clause("TOG-2")
@pytest.mark.parametrize(
    "value", [b"", bytes(range(256)), b" a line\n", b"x" * 200_000], ids=["nothing", "every byte", "a line", "long"]
)
def test_the_entry_is_that_of_the_cache(counting: CountingCacheUser, value: bytes) -> None:
    """What was filled comes back byte for byte, until it is invalidated; what comes next is another value."""
    counting.put(value)
    found = [counting.get() for _ in range(2)]
    assert found == [Hit(value)] * 2
    assert [type(each.value) for each in found if isinstance(each, Hit)] == [bytes] * 2
    counting.cache.invalidate(["group"])
    assert isinstance(counting.get(), Miss)
    counting.put(b"next")
    assert counting.get() == Hit(b"next")


@clause("TOG-2")
def test_names_that_run_together(counting: CountingCacheUser) -> None:
    """An entry is found by its group and its key, and no other is taken for it."""
    counting.put(b"value")
    for group, key in (("grou", "pkey"), ("groupk", "ey"), ("", "groupkey"), ("group:", "key"), ("GROUP", "key")):
        assert isinstance(counting.get(group, key), Miss)
    assert counting.get() == Hit(b"value")


@clause("TOG-2")
@pytest.mark.parametrize("position", [0, 1], ids=["group", "key"])
def test_near_misses(counting: CountingCacheUser, position: int) -> None:
    """Whatever an entry's group and key are, it is that of the cache, and none whose name is nearly the same."""
    names = [(text, "same") if position == 0 else ("same", text) for text in any_texts(LONGEST)]
    for n, name in enumerate(names):
        found = counting.get(*name)
        assert isinstance(found, Miss), f"{name} is there before it was filled"
        counting.cache.fill(*name, str(n).encode(), lease=found.lease or b"", ttl_s=600.0)
    assert [name for n, name in enumerate(names) if counting.get(*name) != Hit(str(n).encode())] == []


@clause("TOG-2")
def test_time_to_live(subject: Subject, counting: CountingCacheUser) -> None:
    """An entry whose time is over is not there, and others are."""
    counting.put(b"value", "short", ttl_s=0.3)
    counting.put(b"value", "long", ttl_s=600.0)
    subject.clock.advance(0.301)
    eventually(lambda: isinstance(counting.get(key="short"), Miss), within_s=2.0)
    assert counting.get(key="long") == Hit(b"value")


@clause("TOG-3")
def test_a_lease_is_good(counting: CountingCacheUser) -> None:
    """A fill with it counts."""
    counting.fill(b"value", counting.lease())
    assert counting.cache.get("group", "key") == Hit(b"value")


@clause("TOG-3")
def test_a_lease_from_before_an_invalidation(counting: CountingCacheUser) -> None:
    """A fill with it does not count, before another lease was handed out and after."""
    old = counting.lease()
    counting.cache.invalidate(["group"])
    counting.fill(b"stale", old)
    fresh = counting.lease()
    counting.fill(b"stale", old)
    assert isinstance(counting.cache.get("group", "key"), Miss)
    counting.fill(b"fresh", fresh)
    assert counting.cache.get("group", "key") == Hit(b"fresh")


@clause("TOG-3")
def test_a_lease_of_another_group(counting: CountingCacheUser) -> None:
    """A lease is good for its group alone."""
    counting.cache.get("other", "key")
    counting.cache.fill("other", "key", b"stale", lease=counting.lease(), ttl_s=60.0)
    assert isinstance(counting.cache.get("other", "key"), Miss)


@clause("TOG-4")
def test_who_is_refused_gets_the_entry(counting: CountingCacheUser) -> None:
    """A hit that is over the limit brings along what one within it does, a lease included."""
    counting.put(b"value")
    limit = RateLimit(1, 60)
    counting.hit(limit=limit)
    refused, found = counting.cache.count_and_get("bucket", limit, "group", "key")
    assert (refused.allowed, found) == (False, Hit(b"value"))
    refused, missed = counting.cache.count_and_get("bucket", limit, "group", "another")
    assert not refused.allowed
    assert isinstance(missed, Miss)
    assert missed.lease is not None


@clause("TOG-10")
def test_the_entry_says_whose_it_is(counting: CountingCacheUser) -> None:
    """Hit and miss name the identity that the cache gives when it is asked alone."""
    identity = counting.cache.ping()
    assert counting.get().identity == identity
    counting.put(b"value")
    assert counting.get() == Hit(b"value")
    assert counting.get().identity == identity


@clause("TOG-8")
def test_one_factory_serves_both_ports(subject: Subject, limiter_spec: AdapterSpec) -> None:
    """A service recognizes by this that one object can be its cache and its limiter."""
    assert limiter_spec.factory == subject.spec.factory
    assert limiter_spec.settings is subject.spec.settings


@clause("TOG-8")
def test_opened_and_closed_as_each(counting: CountingCacheUser) -> None:
    """A service opens its cache and its limiter, and closes both; the second time changes nothing."""
    counting.hit()
    counting.put(b"value")
    counting.cache.open()
    assert (counting.hit().remaining, counting.get()) == (3, Hit(b"value"))
    counting.cache.close()
    counting.cache.close()


@clause("TOG-9")
def test_a_limiter_in_another_place(
    counting: CountingCacheUser, limiter_spec: AdapterSpec, subject: Subject, tmp_path: Path
) -> None:
    """Made of the same factory with other settings, it counts for itself, either way."""
    folder = tmp_path / "another"
    folder.mkdir()
    with place(subject.target, limiter_spec, folder) as elsewhere:
        limiter: RateLimiter = elsewhere.open()
        assert limiter.hit("bucket", LIMIT).remaining == 4
        if isinstance(limiter, CountingCache):
            assert CountingCacheUser(limiter).hit().remaining == 3
        assert counting.hit().remaining == 4
        assert limiter.hit("bucket", LIMIT).remaining == 2
        assert counting.cache.hit("bucket", LIMIT).remaining == 3
