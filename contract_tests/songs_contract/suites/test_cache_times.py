"""How long a cache keeps an entry, and that what it lost stays lost."""

from collections.abc import Iterator

import pytest

from songs.ports.cache import Cache, Hit, Miss
from songs_contract.harness.subject import Subject
from songs_contract.harness.timing import elapse
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.CACHE


@pytest.fixture
def cache(subject: Subject) -> Iterator[Cache]:
    """The cache under test, open and empty."""
    opened: Cache = subject.open()
    yield opened
    opened.close()


def lease_of(cache: Cache, group: str, key: str = "key") -> bytes:
    """Return a lease for an entry that is not there."""
    found = cache.get(group, key)
    assert isinstance(found, Miss), f"{group!r}, {key!r} is there: {found}"
    assert found.lease is not None
    return found.lease


@clause("CACHE-5")
@requires("keeps")
@pytest.mark.parametrize("ttl_s", [0.3, 0.75, 1.4])
def test_times_are_not_rounded_up(subject: Subject, cache: Cache, ttl_s: float) -> None:
    """An entry is gone when its time is over, to the hundredth of a second, not a whole second later."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=ttl_s)
    elapse(subject, ttl_s + 0.01)
    assert isinstance(cache.get("group", "key"), Miss)


@clause("CACHE-5")
@requires("keeps")
def test_reading_does_not_prolong(subject: Subject, cache: Cache) -> None:
    """An entry that is asked for all the time is gone when its time is over all the same."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=0.5)
    for _ in range(4):
        assert isinstance(cache.get("group", "key"), Hit)
        elapse(subject, 0.1)
    elapse(subject, 0.11)
    assert isinstance(cache.get("group", "key"), Miss)


@clause("CACHE-2")
@requires("keeps")
def test_a_lease_is_not_repeated_after_a_loss(cache: Cache) -> None:
    """A cache that begins anew does not hand out leases that it handed out before, and so does not take an old fill."""
    old = {}
    for n in range(5):
        group = f"group-{n}"
        old[group] = [lease_of(cache, group)]
        for _ in range(n):
            cache.invalidate([group])
            old[group].append(lease_of(cache, group))
    cache.invalidate(list(old))
    cache.close()
    cache.open()
    for group, leases in old.items():
        lease_of(cache, group)
        for lease in leases:
            cache.fill(group, "key", b"stale", lease=lease, ttl_s=60.0)
            assert isinstance(cache.get(group, "key"), Miss), "a fill from before the loss counted after it"
