"""The cache: leases, time to live, and its bound."""

from collections.abc import Callable

import pytest

from songs.errors import CacheUnavailable
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs_memory.cache import MemoryCache


@pytest.fixture
def cache(clock: Clock) -> MemoryCache:
    """An open cache of 10,000 bytes."""
    cache = MemoryCache(clock, max_bytes=10_000)
    cache.open()
    return cache


def _lease(cache: MemoryCache, group: str, key: str) -> bytes:
    found = cache.get(group, key)
    assert isinstance(found, Miss)
    assert found.lease is not None
    return found.lease


def _fill(cache: MemoryCache, group: str, key: str, value: bytes) -> None:
    cache.fill(group, key, value, lease=_lease(cache, group, key), ttl_s=60)


def test_a_lease_from_before_an_invalidation_does_not_count(cache: MemoryCache) -> None:
    """A late fill of an old value is not kept, in that group; another group's lease still counts."""
    old, other = _lease(cache, "g", "k"), _lease(cache, "h", "k")
    cache.invalidate(["g", "never seen"])
    cache.fill("g", "k", b"old", lease=old, ttl_s=60)
    cache.fill("h", "k", b"other", lease=other, ttl_s=60)
    assert isinstance(cache.get("g", "k"), Miss)
    assert cache.get("h", "k") == Hit(b"other")


def test_a_lease_from_before_the_cache_lost_everything_does_not_count(cache: MemoryCache) -> None:
    """Neither after close and open, nor after its group was forgotten for want of room."""
    old = _lease(cache, "g", "k")
    cache.close()
    cache.open()
    assert isinstance(cache.get("g", "k"), Miss)
    cache.fill("g", "k", b"old", lease=old, ttl_s=60)
    assert isinstance(cache.get("g", "k"), Miss)

    lease = _lease(cache, "g", "k")
    for number in range(100):
        _fill(cache, f"other {number}", "k", b"x" * 1_000)
    cache.fill("g", "k", b"old", lease=lease, ttl_s=60)
    assert isinstance(cache.get("g", "k"), Miss)


def test_an_invalidation_forgets_entries_at_once(cache: MemoryCache) -> None:
    """All entries of the groups go, and the room they took is free."""
    for key in "abc":
        _fill(cache, "g", key, b"1")
    cache.invalidate({"g"})
    assert all(isinstance(cache.get("g", key), Miss) for key in "abc")
    cache.invalidate({"g"})
    assert cache._bytes == 0


def test_an_entry_lives_for_its_time(cache: MemoryCache, advance: Callable[[float], None]) -> None:
    """Until `ttl_s` after its fill, and not at that moment; a fill after it begins anew."""
    cache.fill("g", "k", b"1", lease=_lease(cache, "g", "k"), ttl_s=2)
    advance(1.999)
    assert cache.get("g", "k") == Hit(b"1")
    advance(0.001)
    _fill(cache, "g", "k", b"2")
    assert cache.get("g", "k") == Hit(b"2")


def test_the_cache_stays_within_its_bound(cache: MemoryCache) -> None:
    """What was used least recently goes first, whether groups have entries or only leases."""
    _fill(cache, "used", "k", b"1")
    for number in range(1_000):
        _fill(cache, f"group {number % 50}", f"key {number}", b"x" * (number % 300))
        _lease(cache, f"only a lease {number}", "k")
        assert isinstance(cache.get("used", "k"), Hit)
        groups = list(cache._groups.values()) if cache._groups else []
        sizes = [group.size for group in groups] + [e.size for group in groups for e in group.entries.values()]
        assert cache._bytes == sum(sizes) <= 10_000


def test_a_value_beyond_the_bound_is_not_kept(cache: MemoryCache) -> None:
    """It is a miss, and the cache goes on."""
    _fill(cache, "g", "k", b"x" * 20_000)
    assert isinstance(cache.get("g", "k"), Miss)
    _fill(cache, "g", "k", b"x" * 2_000)
    assert cache.get("g", "k") == Hit(b"x" * 2_000)


def test_pairs_do_not_share_an_entry(cache: MemoryCache) -> None:
    """Group and key are compared each for itself."""
    for group, key in (("a", "bc"), ("ab", "c"), ("", "abc"), ("abc", "")):
        _fill(cache, group, key, f"{group}|{key}".encode())
    assert cache.get("a", "bc") == Hit(b"a|bc")
    assert cache.get("ab", "c") == Hit(b"ab|c")
    assert cache.get("", "abc") == Hit(b"|abc")


def test_a_cache_that_is_not_open_says_so(clock: Clock) -> None:
    """Every call raises CacheUnavailable."""
    cache = MemoryCache(clock, max_bytes=1_000)
    calls: list[Callable[[], object]] = [
        cache.ping,
        lambda: cache.get("g", "k"),
        lambda: cache.fill("g", "k", b"", lease=b"", ttl_s=1),
        lambda: cache.invalidate(["g"]),
    ]
    for call in calls:
        with pytest.raises(CacheUnavailable):
            call()
