"""How long a cache keeps an entry, and that what it lost stays lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from songs.ports.cache import Cache, Hit, Miss
from songs_contract.harness.driver import lease_of
from songs_contract.harness.subject import StandingClock, Subject
from songs_contract.harness.timing import elapse, while_it_lasts
from songs_contract.law import clause, requires
from songs_plugins import Port

PORT = Port.CACHE


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

    def read(group: str) -> tuple[str, list[Hit | Miss]]:
        cache.fill(group, "key", b"value", lease=lease_of(cache, group), ttl_s=0.5)
        found = [cache.get(group, "key")]
        for _ in range(3):
            elapse(subject, 0.1)
            found.append(cache.get(group, "key"))
        return group, found

    group, found = while_it_lasts(subject, 0.5, read)
    assert found == [Hit(b"value")] * 4
    elapse(subject, 0.21)
    assert isinstance(cache.get(group, "key"), Miss)


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


@clause("CACHE-5")
@requires("keeps")
@pytest.mark.parametrize("ttl_s", [0, 0.0, -1, -0.5, 0.0004, 1e-9])
def test_no_time_to_live(subject: Subject, cache: Cache, ttl_s: float) -> None:
    """An entry without time, or with hardly any, is not kept for ever, as it would be where 0 means that."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=ttl_s)
    elapse(subject, max(0.0, ttl_s) + 0.01)
    assert isinstance(cache.get("group", "key"), Miss)


@clause("CACHE-5")
@requires("keeps")
@pytest.mark.parametrize("days", [29, 31, 400])
def test_long_times_to_live(cache: Cache, days: int) -> None:
    """A time of months is one, too: neither a date, nor nothing, nor an error."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=86_400.0 * days)
    assert cache.get("group", "key") == Hit(b"value")


@clause("CACHE-5")
@requires("keeps", "not shared")
@pytest.mark.parametrize("ttl_s", [0.25, 60.0])
def test_the_moment_it_is_over(subject: Subject, ttl_s: float) -> None:
    """It is there until the last moment before, and at that moment it is not."""
    clock = StandingClock()
    cache: Cache = replace(subject, clock=clock).open()
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=ttl_s)
    clock.advance(ttl_s - 0.125)
    assert isinstance(cache.get("group", "key"), Hit)
    clock.advance(0.125)
    assert isinstance(cache.get("group", "key"), Miss)


@clause("CACHE-5")
@requires("keeps")
@pytest.mark.parametrize("days", [-1, -400])
def test_a_time_of_day_that_is_set_back(subject: Subject, cache: Cache, days: int) -> None:
    """An entry is not kept longer for it."""
    cache.fill("group", "key", b"value", lease=lease_of(cache, "group"), ttl_s=0.5)
    subject.clock.set_wall_clock(timedelta(days=days))
    elapse(subject, 0.51)
    assert isinstance(cache.get("group", "key"), Miss)


@clause("CACHE-5")
@requires("keeps")
def test_the_time_of_the_second_fill(subject: Subject, cache: Cache) -> None:
    """Where two fill one entry, neither value is there once its own time is over."""
    lease = lease_of(cache, "group")
    cache.fill("group", "key", b"first", lease=lease, ttl_s=600.0)
    cache.fill("group", "key", b"second", lease=lease, ttl_s=0.5)
    elapse(subject, 0.51)
    assert cache.get("group", "key") != Hit(b"second")


@clause("CACHE-5")
@requires("keeps")
def test_filled_again(subject: Subject, cache: Cache) -> None:
    """An entry whose time is over can be filled again, as often as it ends."""
    for n in range(3):
        value = str(n).encode()

        def fill_again(_attempt: str, value: bytes = value) -> Hit | Miss:
            elapse(subject, 0.26)
            cache.fill("group", "key", value, lease=lease_of(cache, "group"), ttl_s=0.25)
            return cache.get("group", "key")

        assert while_it_lasts(subject, 0.26 + 0.25, fill_again) == Hit(value)


@clause("CACHE-2")
@requires("keeps", "not shared")
@pytest.mark.parametrize("days", [1, 40])
def test_a_lease_from_long_ago(subject: Subject, cache: Cache, days: int) -> None:
    """However long ago its group was invalidated, it does not count."""
    old = lease_of(cache, "group")
    cache.invalidate(["group"])
    lease_of(cache, "group")
    subject.clock.advance(86_400.0 * days)
    cache.fill("group", "key", b"stale", lease=old, ttl_s=60.0)
    assert isinstance(cache.get("group", "key"), Miss)
