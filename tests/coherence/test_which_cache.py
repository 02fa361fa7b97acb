"""Processes that do not use the same cache, or no longer: rules 1 to 5, without waiting, and without a server."""

from collections.abc import Callable
from typing import Any

import pytest

from songs.errors import OutcomeUnknown, StorageUnavailable

# Another cache answers than the one that all agreed on.


def test_a_hit_elsewhere(process: Any, new_cache: Any, clock: Any) -> None:
    """What another server has is not believed, and it is not filled: it missed the invalidations."""
    process.read(lambda: b"old")
    home, other = process.cache.inner, new_cache()
    process.cache.inner = other
    lease = other.get("group", "2:key").lease
    other.fill("group", "2:key", b"older", lease=lease, ttl_s=60.0)
    process.cache.asked.clear()
    assert process.read(lambda: b"new") == b"new"
    assert process.cache.asked == ["get"]
    assert process.read(lambda: b"newer") == b"newer"
    assert process.cache.asked == ["get"], "it is asked no more in this epoch"
    process.cache.inner = home
    clock.advance(5.0)
    assert process.hits(), "it is at home again"
    assert process.state == (2, "on")


def test_an_invalidation_elsewhere(process: Any, new_process: Any, new_cache: Any, clock: Any) -> None:
    """It is none: nobody who believes the cache of before would notice it."""
    reader = new_process()
    reader.read(lambda: b"old")
    process.cache.inner = new_cache()
    process.wrote()
    assert process.cache.asked == ["invalidate", "ping"]
    assert process.state == (3, "off")
    assert clock.slept_s == pytest.approx([1.1])
    assert not reader.hits()


def test_the_old_primary_comes_back(process: Any, new_process: Any, new_cache: Any, clock: Any) -> None:
    """Both move away, one writes, and both move back: what the old primary has is of an old epoch."""
    other, home, away = new_process(), process.cache.inner, new_cache()
    process.read(lambda: b"old")
    for each in (process, other):
        each.cache.inner = away
    other.wrote()
    for each in (process, other):
        each.cache.inner = home
    assert process.read(lambda: b"new") == b"new"
    clock.advance(6.0)
    process.read()
    clock.advance(1.1)
    process.read(lambda: b"new")
    assert process.state == (5, "on")
    assert other.read(lambda: b"not asked") == b"new"


def test_a_new_primary_takes_over(process: Any, new_process: Any, new_cache: Any, clock: Any) -> None:
    """After a failover that nobody writes through, it is on 5 s and 1.1 s after it was noticed."""
    other, away = new_process(), new_cache()
    for each in (process, other):
        each.read(lambda: b"old")
        each.cache.inner = away
    assert not process.hits()
    clock.advance(4.9)
    assert not process.hits()
    assert process.state == (2, "on")
    clock.advance(0.1)
    process.read()
    assert process.state == (3, "announced")
    clock.advance(1.1)
    process.read(lambda: b"old")
    assert process.state == (4, "on")
    assert other.read(lambda: b"not asked") == b"old"


def test_a_cache_that_has_no_identity(process: Any, new_process_on: Any, new_cache: Any) -> None:
    """It is never on, since nobody could tell it from another; writes are answered."""
    nameless = new_cache()
    nameless._identity = ""
    other = new_process_on(nameless)
    process.read(lambda: b"old")
    other.wrote()
    assert process.state == (3, "off")
    assert other.read(lambda: b"loaded") == b"loaded"
    assert not other.hits()


# A cache is announced before it is on.


def test_a_storage_that_is_new(new_process_on: Any, new_cache: Any, storage: Any, clock: Any) -> None:
    """The first read announces the cache, and 1.1 s later it is on; writes do not wait, as nothing was ever on."""
    process = new_process_on(new_cache())
    process.read()
    assert process.state == (2, "announced")
    process.wrote()
    clock.advance(1.1)
    process.read(lambda: b"kept")
    assert process.state == (3, "on")
    assert process.hits()
    assert clock.slept_s == []


def test_only_who_saw_it_announced_switches_it_on(process: Any, new_process: Any, clock: Any) -> None:
    """Each process counts 1.1 s by its own clock, from when it saw the announcement."""
    process.move("off")
    process.move("announced")
    clock.advance(60.0)
    process.read()
    assert process.state == (4, "announced")
    clock.advance(1.0)
    late = new_process()
    late.read()
    clock.advance(0.1)
    late.read()
    assert process.state == (4, "announced")
    process.read()
    assert process.state == (5, "on")


def test_a_writer_that_knows_of_no_announcement(new_process_on: Any, process: Any, clock: Any) -> None:
    """By a reading of the record of a second ago it answers at once, and by then the cache cannot be on yet."""
    writer = new_process_on(None)
    writer.wrote()
    clock.advance(10.0)
    writer.wrote()
    units = len(clock.slept_s)
    reader = process
    reader.read()
    assert reader.state == (4, "announced")
    with writer.coherence._refreshing:  # another thread is reading the record, and it takes long
        clock.advance(1.0)
        writer.wrote()
        assert writer.state == (4, "announced")
        reader.read()
        assert reader.state == (4, "announced")
        clock.advance(0.1)
        assert reader.read(lambda: b"new") == b"new"
        assert reader.hits()
        writer.wrote()
        assert writer.state == (6, "off"), "the reading was too old"
    assert not reader.hits()
    assert len(clock.slept_s) == units + 1


def test_a_write_while_a_cache_is_announced(process: Any, new_process: Any, clock: Any) -> None:
    """One whose own cache it is leaves it announced, and waits for what is left of the time since one was on."""
    process.read(lambda: b"old")
    other = new_process()
    other.read()
    other.move("announced")
    clock.advance(0.6)
    process.read()
    clock.advance(0.3)
    process.wrote()
    assert process.state == (3, "announced")
    assert clock.slept_s == pytest.approx([0.8])


def test_a_cache_that_was_on_in_between(process: Any, new_process: Any, clock: Any) -> None:
    """Who saw it off, and off again two epochs later, waits: it may have been believed until a moment ago."""
    other = new_process()
    process.cache.down = True
    process.wrote()
    clock.advance(20.0)
    other.move("on")
    other.move("off")
    process.wrote()
    assert clock.slept_s == pytest.approx([1.1, 1.1])


# Writers with other settings.


def _none(new_process_on: Any, _new_cache: Any) -> Any:
    return new_process_on(None)


def _another(new_process_on: Any, new_cache: Any) -> Any:
    return new_process_on(new_cache())


@pytest.mark.parametrize("kind", [_none, _another], ids=["without a cache", "with another cache"])
def test_a_writer_with_other_settings(
    process: Any, new_process_on: Any, new_cache: Any, clock: Any, kind: Callable[..., Any]
) -> None:
    """It switches off what it cannot invalidate, before it is answered; those after it do not wait."""
    writer = kind(new_process_on, new_cache)
    process.read(lambda: b"old")
    assert process.hits()
    with process.coherence._refreshing:  # the reader has read the record a moment ago, and will not again
        writer.wrote()
        assert not process.hits()
    assert process.state == (3, "off")
    for _ in range(3):
        writer.wrote()
    assert clock.slept_s == pytest.approx([1.1])


def test_a_writer_that_comes_while_the_cache_is_off(process: Any, new_process_on: Any, clock: Any) -> None:
    """It waits out those who may have believed it until just before it looked."""
    process.move("off")
    writer = new_process_on(None)
    writer.wrote()
    assert clock.slept_s == pytest.approx([1.1])
    assert process.state == (3, "off")


def test_nobody_has_a_cache(new_process_on: Any, storage: Any, clock: Any) -> None:
    """Nothing is waited for, nothing advanced, and the record is read once in half a second."""
    writer = new_process_on(None)
    for _ in range(8):
        writer.wrote()
        clock.advance(0.125)
    assert clock.slept_s == []
    assert len(storage.units) == 2
    assert writer.state == (1, "on"), "it was never advanced"


def test_a_storage_that_fails_after_a_write_without_a_cache(new_process_on: Any, storage: Any, clock: Any) -> None:
    """Nobody can say whether others believe a cache, unless the record was read a moment ago."""
    writer = new_process_on(None)
    storage.before = [StorageUnavailable()] * 2
    with pytest.raises(OutcomeUnknown):
        writer.wrote()
    storage.before = []
    writer.wrote()
    clock.advance(0.9)
    storage.before = [StorageUnavailable()]
    writer.wrote()
    clock.advance(0.9)
    storage.before = [StorageUnavailable()] * 2
    with pytest.raises(OutcomeUnknown):
        writer.wrote()


def test_two_services_with_caches_of_their_own(process: Any, new_process_on: Any, new_cache: Any, clock: Any) -> None:
    """Each switches the other's off, ever more rarely, and neither shows anything old."""
    pair, truth, waits = (process, new_process_on(new_cache())), 0, []
    for second in range(600):
        for each in pair:
            clock.advance(0.5)
            slept = len(clock.slept_s)
            truth += 1
            each.wrote()
            waits += [second] * (len(clock.slept_s) - slept)
            for reader in pair:
                assert reader.read(lambda now=truth: b"%d" % now) == b"%d" % truth
    assert len([second for second in waits if second < 60]) > len([second for second in waits if second >= 540])
    assert len([second for second in waits if second >= 540]) <= 6


# Writes of which nobody knows the groups: repairs, copies.


def test_outdating_everything(process: Any, new_process_on: Any, clock: Any) -> None:
    """The record is moved to off, and beyond an epoch; it returns when nobody believes a hit any more."""
    process.read(lambda: b"old")
    new_process_on(None).coherence.outdate()
    assert process.state == (3, "off")
    assert clock.slept_s == pytest.approx([1.1])
    assert not process.hits()
    new_process_on(None).coherence.outdate(beyond=7)
    assert process.state == (8, "off")


def test_outdating_while_another_version_runs(process: Any, new_process_on: Any, clock: Any) -> None:
    """A cache that is on and has no name was switched on by an older version, and is switched off like any other."""
    process.runner.write(
        lambda unit: unit.coherence.advance(expected_epoch=2, cache_on=True), deadline=process.deadline()
    )
    process.read()
    assert process.cache.asked[-1] != "get", "we do not believe it"
    writer = new_process_on(None)
    writer.wrote()
    assert clock.slept_s == pytest.approx([1.1])
    assert not process.record.cache_on


@pytest.mark.parametrize("announced", [False, True])
def test_a_storage_that_only_an_older_version_served(
    new_process_on: Any, new_cache: Any, storage: Any, clock: Any, announced: bool
) -> None:
    """Its processes believe the cache in the first epoch: a write that this cache does not hear of waits for them."""
    cache = new_cache()
    process, other = new_process_on(cache), new_process_on(cache)
    process.wrote()
    assert clock.slept_s == []
    if announced:
        other.read()
        clock.advance(0.6)
        process.read()
        assert process.state == (2, "announced")
    process.cache.down = True
    process.wrote()
    assert not process.record.cache
    assert clock.slept_s == pytest.approx([1.1])
    process.wrote()
    assert clock.slept_s == pytest.approx([1.1])


def test_an_older_version_announces_nothing(process: Any, clock: Any) -> None:
    """It switches the cache on right after a look that showed none: a write that nobody forgot for looks again."""
    process.cache.down = True
    process.wrote()
    clock.advance(5.0)
    process.wrote()
    process.runner.write(
        lambda unit: unit.coherence.advance(expected_epoch=3, cache_on=True), deadline=process.deadline()
    )
    clock.advance(0.1)
    process.wrote()
    assert process.state == (5, "off")
    assert clock.slept_s == pytest.approx([1.1, 1.1])


def test_an_announcement_that_is_seen_while_another_is_given_its_time(process: Any, clock: Any) -> None:
    """It is given 1.1 s from when it was seen, whatever a thread that still looks at the one before decides."""
    process.runner.write(
        lambda unit: unit.coherence.advance(expected_epoch=2, cache_on=False, cache="another"),
        deadline=process.deadline(),
    )
    process.read()
    clock.advance(4.9)

    def others_announce_ours() -> None:
        if process.cache.asked[-1] == "ping" and process.state == (3, "announced"):
            process.move("announced")
            process.coherence._view.read(process.deadline())

    process.cache.after = others_announce_ours
    process.read()
    assert process.state == (4, "announced")
    for _ in range(10):
        clock.advance(0.1)
        process.read()
        assert process.state == (4, "announced")
    clock.advance(0.1)
    process.read()
    assert process.state == (5, "on")
