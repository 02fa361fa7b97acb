"""A cache that counts hits as well, when the server does not answer, or not for entries."""

from typing import Literal

import pytest

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import Hit, Miss
from songs_contract.harness.fixtures import LIMIT, CountingCacheUser
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import CacheFaultInjector, CountingFaultInjector, Port

PORT = Port.CACHE
REST_S = 10.0
KINDS_OF_RUBBISH = 5


@clause("TOG-2")
def test_rubbish(injector: CacheFaultInjector, counting: CountingCacheUser) -> None:
    """What is no entry of the cache is a miss, whatever kind of rubbish it is."""
    for n in range(KINDS_OF_RUBBISH):
        counting.put(b"value")
        assert counting.get(bucket=f"bucket-{n}") == Hit(b"value")
        injector.spoil()
        # In another bucket: counts may be spoilt as well.
        assert isinstance(counting.get(bucket=f"spoilt-{n}"), Miss)


def hit_without_the_cache(counting: CountingCacheUser) -> None:
    """See that hits count, and that the entry is unknown, which is no miss."""
    for remaining in (4, 2):
        verdict, found = counting.cache.count_and_get("bucket", LIMIT, "group", "key")
        assert (verdict.allowed, verdict.remaining, found) == (True, remaining, None)
        assert counting.cache.hit("bucket", LIMIT).remaining == remaining - 1


@clause("TOG-5")
def test_a_cache_that_is_refused(refusing: CountingFaultInjector, counting: CountingCacheUser) -> None:
    """Its entries are unknown, and hits count, where the server says no to the cache alone."""
    refusing.refuse_entries()
    with pytest.raises(CacheUnavailable):
        counting.cache.get("group", "key")
    hit_without_the_cache(counting)
    refusing.heal()
    counting.lease()


@clause("TOG-6")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_fails(
    subject: Subject, injector: CacheFaultInjector, counting: CountingCacheUser, when: Literal["before", "after"]
) -> None:
    """The call ends with the one error, and soon after the server works calls do again."""
    counting.hit()
    injector.fail_at(1, when=when)
    with pytest.raises(LimiterUnavailable) as caught:
        counting.hit()
    assert caught.value.__cause__ is not None, "what the driver raised is not the cause"
    injector.heal()

    def works() -> bool:
        try:
            return isinstance(counting.get(), Miss)
        except LimiterUnavailable:
            return False

    # It may leave the server alone for a while.
    subject.clock.advance(REST_S)
    eventually(works, within_s=REST_S)


@clause("TOG-6")
def test_when_it_is_closed(counting: CountingCacheUser) -> None:
    """There is no verdict until it is open again."""
    counting.cache.close()
    with pytest.raises(LimiterUnavailable):
        counting.hit()
    counting.cache.open()
    counting.hit()
    counting.get()


@clause("TOG-7")
def test_one_round_trip(injector: CacheFaultInjector, counting: CountingCacheUser) -> None:
    """Were there a second call to the server it would fail; there is none."""
    counting.hit()
    injector.fail_at(2, when="before")
    counting.hit()
    assert not injector.failed, "count_and_get makes a second call to the server"
