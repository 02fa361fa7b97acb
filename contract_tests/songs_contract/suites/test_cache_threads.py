"""Caches that many use: threads, an object that is opened again or closed meanwhile, and another process."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from songs.errors import CacheUnavailable
from songs.ports.cache import Cache, Hit, Miss
from songs_contract.harness.driver import close_while_in_use, lease_of, race, returned
from songs_contract.harness.processes import Other, another_process
from songs_contract.harness.subject import Subject
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.CACHE

TTL_S = 600.0
THREADS = 6


@pytest.fixture
def other(subject: Subject) -> Iterator[Other]:
    """Another process with the same cache open."""
    with another_process(subject) as found:
        yield found


@clause("CACHE-1")
@requires("keeps")
def test_threads_get_what_they_ask_for(cache: Cache, rounds: int) -> None:
    """No thread gets the answer that is meant for another one."""

    def fill_and_get(name: str) -> None:
        for n in range(20 * rounds):
            group, key, value = f"group-{name}", f"key-{n}", f"{name} {n}".encode()
            try:
                found = cache.get(group, key)
                assert isinstance(found, Miss), f"{found} is another thread's"
                cache.fill(group, key, value, lease=found.lease or b"", ttl_s=TTL_S)
                found = cache.get(group, key)
            except CacheUnavailable:
                continue
            assert isinstance(found, Miss) or found == Hit(value), f"{found} is not {value!r}"

    returned(race([partial(fill_and_get, str(n)) for n in range(THREADS)]))


@clause("CACHE-8")
@requires("keeps")
def test_opening_what_is_open(cache: Cache) -> None:
    """It does nothing: entries stay, and leases stay good."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=TTL_S)
    lease = lease_of(cache, "group", "second")
    cache.open()
    assert cache.get("group", "key") == Hit(b"value")
    cache.fill("group", "second", b"value", lease=lease, ttl_s=TTL_S)
    assert cache.get("group", "second") == Hit(b"value")


@clause("CACHE-8")
@requires("keeps")
def test_closing_what_is_in_use(cache: Cache, rounds: int) -> None:
    """Calls of other threads are answered, or say that the cache does not answer; they raise nothing else."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: cache.get("group", "key"),
        lambda: cache.fill("group", "key", b"value", lease=b"lease", ttl_s=TTL_S),
        lambda: cache.invalidate(["group"]),
        cache.ping,
    )
    close_while_in_use(cache, calls, CacheUnavailable, times=10 * rounds)


@clause("CACHE-1", "CACHE-3", "CACHE-10")
@requires("keeps", "shared")
def test_another_process_is_seen_at_once(cache: Cache, other: Other) -> None:
    """What it fills is there, and what it invalidates is not, at the next call, and so are the leases from before."""
    assert other.ask("ping") == cache.ping(), "each takes the other's cache for a stranger's"
    lease = lease_of(cache, "group", "second")
    assert other.ask("fill", "group", "key", "value") is None
    assert cache.get("group", "key") == Hit(b"value")
    for n in range(5):
        value = f"value {n}"
        other.ask("invalidate", "group")
        assert isinstance(cache.get("group", "key"), Miss), "what another process invalidated is still there"
        cache.fill("group", "second", b"stale", lease=lease, ttl_s=TTL_S)
        assert isinstance(cache.get("group", "second"), Miss), "a lease from before counts"
        cache.fill("group", "key", value.encode(), lease=lease_of(cache, "group"), ttl_s=TTL_S)
        assert other.ask("get", "group", "key") == value
        cache.invalidate(["group"])
        assert other.ask("get", "group", "key") is None, "the other process has what was invalidated here"
        cache.fill("group", "key", value.encode(), lease=lease_of(cache, "group"), ttl_s=TTL_S)
        assert cache.get("group", "key") == Hit(value.encode())
