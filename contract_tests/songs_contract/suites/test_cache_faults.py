"""A cache server that fails, or holds rubbish: for adapters whose descriptor says how to make it."""

from collections.abc import Callable
from typing import Literal

import pytest

from songs.errors import CacheUnavailable
from songs.ports.cache import Cache, Hit
from songs_contract.harness.driver import lease_of
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import CacheFaultInjector, CountingFaultInjector, Port

PORT = Port.CACHE
TTL_S = 60.0
REST_S = 10.0
KINDS_OF_RUBBISH = 5

CALLS: dict[str, Callable[[Cache, bytes], object]] = {
    "get": lambda cache, _lease: cache.get("group", "key"),
    "fill": lambda cache, lease: cache.fill("group", "key", b"value", lease=lease, ttl_s=TTL_S),
    "invalidate": lambda cache, _lease: cache.invalidate(["group", "another", "third"]),
}


@pytest.fixture
def cache(injector: CacheFaultInjector, cache: Cache) -> Cache:
    """The cache under test, open and used before, so that its connections are there."""
    cache.ping()
    return cache


@clause("CACHE-9")
@pytest.mark.parametrize("name", CALLS)
def test_one_round_trip(cache: Cache, injector: CacheFaultInjector, name: str) -> None:
    """Were there a second call to the server it would fail; there is none."""
    lease = lease_of(cache, "group")
    injector.fail_at(2, when="before")
    try:
        CALLS[name](cache, lease)
    except CacheUnavailable:
        pytest.fail(f"{name} makes a second call to the server")
    assert not injector.failed, f"{name} makes a second call to the server"


@clause("CACHE-8")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_fails(
    subject: Subject, cache: Cache, injector: CacheFaultInjector, name: str, when: Literal["before", "after"]
) -> None:
    """The one call fails with the one error, and the cache works again soon after the server does."""
    lease = lease_of(cache, "group")
    injector.fail_at(1, when=when)
    with pytest.raises(CacheUnavailable) as caught:
        CALLS[name](cache, lease)
    assert caught.value.__cause__ is not None, "what the driver raised is not the cause"
    injector.heal()

    def works() -> bool:
        try:
            cache.fill("other", "key", b"value", lease=lease_of(cache, "other"), ttl_s=TTL_S)
            return cache.get("other", "key") == Hit(b"value")
        except CacheUnavailable:
            return False

    # It may leave the server alone for a while.
    subject.clock.advance(REST_S)
    eventually(works, within_s=REST_S)


@clause("CACHE-8")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_ping_asks_the_server(cache: Cache, injector: CacheFaultInjector, when: Literal["before", "after"]) -> None:
    """It knows nothing by heart: a server that fails now is not there, though it was a moment ago."""
    for _ in range(2):
        cache.ping()
    injector.fail_at(1, when=when)
    with pytest.raises(CacheUnavailable) as caught:
        cache.ping()
    assert caught.value.__cause__ is not None, "what the driver raised is not the cause"
    injector.heal()
    cache.ping()


@clause("CACHE-8")
def test_a_ping_of_a_server_that_takes_no_invalidation(cache: Cache, refusing: CountingFaultInjector) -> None:
    """A server that answers, and refuses what concerns entries, is not one that a service can rely on."""
    refusing.refuse_entries()
    with pytest.raises(CacheUnavailable):
        cache.invalidate(["group"])
    with pytest.raises(CacheUnavailable):
        cache.ping()
    refusing.heal()
    cache.ping()


@clause("CACHE-7")
def test_rubbish(cache: Cache, injector: CacheFaultInjector) -> None:
    """What is no entry of this cache is a miss, which can be filled, whatever kind of rubbish it is."""
    for n in range(KINDS_OF_RUBBISH):
        value = f"value {n}".encode()
        cache.fill("group", "key", value, lease=lease_of(cache, "group"), ttl_s=TTL_S)
        assert cache.get("group", "key") == Hit(value)
        injector.spoil()
        lease_of(cache, "group")
