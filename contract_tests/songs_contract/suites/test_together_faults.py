"""A cache and a limiter that are asked together, when one of them does not answer, or both do not."""

from typing import Literal

import pytest

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import Hit, Miss
from songs_contract.harness.fixtures import LIMIT, Both
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import eventually
from songs_contract.law import clause
from songs_plugins import CacheFaultInjector, JoinedFaultInjector, Port

PORT = Port.CACHE
REST_S = 10.0
KINDS_OF_RUBBISH = 5


@clause("TOG-2")
def test_rubbish(injector: CacheFaultInjector, both: Both) -> None:
    """What is no entry of the cache is a miss, whatever kind of rubbish it is."""
    for n in range(KINDS_OF_RUBBISH):
        both.put(b"value")
        assert both.get(bucket=f"bucket-{n}") == Hit(b"value")
        injector.spoil()
        # In another bucket: counts may be spoilt as well.
        assert isinstance(both.get(bucket=f"spoilt-{n}"), Miss)


def hit_without_the_cache(both: Both) -> None:
    """See that hits count, and that the entry is unknown, which is no miss."""
    for remaining in (4, 2):
        verdict, found = both.together.hit_and_get("bucket", LIMIT, "group", "key")
        assert (verdict.allowed, verdict.remaining, found) == (True, remaining, None)
        assert both.limiter.hit("bucket", LIMIT).remaining == remaining - 1


@clause("TOG-5")
def test_a_cache_that_is_closed(both: Both) -> None:
    """Its entries are unknown, and hits count; unless nothing can be asked together when one of the two is closed."""
    both.cache.close()
    try:
        hit_without_the_cache(both)
    except LimiterUnavailable:
        pytest.skip("not tested: closing the cache closes what asks both")


@clause("TOG-5")
def test_a_cache_that_is_refused(injector: CacheFaultInjector, both: Both) -> None:
    """Its entries are unknown, and hits count, where the server that both are on says no to the cache alone."""
    if not isinstance(injector, JoinedFaultInjector):
        pytest.skip("declared unsupported: refuse_entries of AdapterSpec.faults")
    injector.refuse_entries()
    with pytest.raises(CacheUnavailable):
        both.cache.get("group", "key")
    hit_without_the_cache(both)
    injector.heal()
    both.lease()


@clause("TOG-6")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_fails(
    subject: Subject, injector: CacheFaultInjector, both: Both, when: Literal["before", "after"]
) -> None:
    """The call ends with the one error, and soon after the server works calls do again."""
    both.hit()
    injector.fail_at(1, when=when)
    with pytest.raises(LimiterUnavailable):
        both.hit()
    injector.heal()

    def works() -> bool:
        try:
            return isinstance(both.get(), Miss)
        except LimiterUnavailable:
            return False

    # It may leave the server alone for a while.
    subject.clock.advance(REST_S)
    eventually(works, within_s=REST_S)


@clause("TOG-6")
def test_when_both_are_closed(both: Both) -> None:
    """There is no verdict until both are open again."""
    both.cache.close()
    both.limiter.close()
    with pytest.raises(LimiterUnavailable):
        both.hit()
    both.limiter.open()
    both.cache.open()
    both.hit()
    both.get()


@clause("TOG-7")
def test_one_round_trip(injector: CacheFaultInjector, both: Both) -> None:
    """Were there a second call to the server it would fail; there is none."""
    both.hit()
    injector.fail_at(2, when="before")
    both.hit()
    assert not injector.failed, "hit_and_get makes a second call to the server"
