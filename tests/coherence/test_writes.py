"""What a write does when the cache fails, and how the cache comes back, rules 3 and 4: without waiting."""

from typing import Any

import pytest

from songs.errors import OutcomeUnknown, StorageUnavailable

# Rule 3: an invalidation that failed.


def test_the_first_write_of_an_outage(process: Any, clock: Any) -> None:
    """It moves the record off and is answered 1.1 s later; those after it are answered at once."""
    process.cache.down = True
    process.wrote()
    assert process.state == (3, "off")
    assert clock.slept_s == pytest.approx([1.1])
    for _ in range(3):
        process.wrote()
    assert clock.slept_s == pytest.approx([1.1])
    assert process.state == (3, "off")


def test_a_second_write_during_the_wait(process: Any, clock: Any) -> None:
    """It waits for what is left of the time."""
    process.cache.down = True
    process.move("off")
    process.read()
    clock.advance(0.4)
    process.wrote()
    assert clock.slept_s == pytest.approx([0.7])


def test_every_process_waits_once(process: Any, new_process: Any, clock: Any) -> None:
    """From when it saw for itself that the cache is off: a process that saw it long ago does not wait at all."""
    other, third = new_process(), new_process()
    for each in (process, other, third):
        each.cache.down = True
    third.read()
    process.wrote()
    other.wrote()
    third.read()
    clock.advance(2.0)
    other.wrote()
    third.wrote()
    assert clock.slept_s == pytest.approx([1.1, 1.1])
    assert process.state == (3, "off")


def test_no_hit_of_before_counts_after_the_wait(process: Any, new_process: Any, clock: Any) -> None:
    """A process that read the record just before it moved counts no hit any more when the write is answered."""
    other = new_process()
    other.read(lambda: b"old")
    clock.advance(0.6)
    assert other.hits()
    process.cache.down = True
    with other.coherence._refreshing:  # it cannot read the record again
        process.wrote()
        assert not other.hits()


def test_a_cache_that_another_process_has_switched_on_again(process: Any, new_process: Any, clock: Any) -> None:
    """A write whose invalidation fails moves the record off again, and waits again: others may have hits."""
    process.cache.down = True
    process.wrote()
    new_process().move("on")
    process.wrote()
    assert process.state == (5, "off")
    assert clock.slept_s == pytest.approx([1.1, 1.1])


def test_a_record_that_moves_meanwhile(process: Any, new_process: Any, clock: Any) -> None:
    """When others move it between reading and moving it, what is now there counts."""
    other = new_process()
    process.cache.down = True
    write, moves = process.runner.write, ["off", "on"]

    def overtaken(*arguments: Any, **more: Any) -> Any:
        while moves:
            other.move(moves.pop(0))
        return write(*arguments, **more)

    process.runner.write = overtaken
    process.wrote()
    assert process.state == (5, "off")
    assert clock.slept_s == pytest.approx([1.1])


def test_when_the_storage_fails_as_well(process: Any, clock: Any, storage: Any) -> None:
    """The write cannot be acknowledged: old reads may still be served somewhere. The next one may."""
    process.cache.down = True
    for failures in ([StorageUnavailable()], [None, StorageUnavailable()]):
        storage.before = failures
        with pytest.raises(OutcomeUnknown) as caught:
            process.wrote()
        assert isinstance(caught.value.__cause__, StorageUnavailable)
    process.wrote()
    assert clock.slept_s == pytest.approx([1.1])


def test_a_move_without_an_answer(process: Any, storage: Any) -> None:
    """It is made again, which moves nothing twice."""
    process.cache.down = True
    storage.after = [None, OutcomeUnknown()]
    process.wrote()
    assert process.state == (3, "off")


# Rule 4: switching on again.


def test_a_cache_that_answers_again(process: Any, clock: Any) -> None:
    """It is announced 5 s after it was seen off, and on 1.1 s later, in a new epoch: nothing of before is found."""
    process.read(lambda: b"old")
    process.cache.down = True
    process.wrote()
    process.cache.down = False
    process.cache.asked.clear()
    clock.advance(5.0 - 1.1 - 0.001)
    process.read()
    assert process.cache.asked == []
    clock.advance(0.001)
    assert process.read(lambda: b"new") == b"new"
    assert process.cache.asked == ["ping"]
    assert process.state == (4, "announced")
    clock.advance(1.099)
    assert process.read(lambda: b"new") == b"new"
    assert process.cache.asked == ["ping"]
    clock.advance(0.001)
    assert process.read(lambda: b"new") == b"new"
    assert process.cache.asked == ["ping", "ping", "get", "fill"]
    assert process.state == (5, "on")
    assert process.hits()


def test_a_cache_that_stays_away(process: Any, clock: Any) -> None:
    """It is tried every 5 s, by one read, and stays off."""
    process.cache.down = True
    process.wrote()
    process.cache.asked.clear()
    for _ in range(30):
        clock.advance(1.0)
        process.read()
    assert process.cache.asked == ["ping"] * 6
    assert process.state == (3, "off")


def _off_for_s(process: Any, clock: Any) -> float:
    process.cache.down = True
    process.wrote()
    process.cache.down = False
    since_s = clock.now_s - 1.1
    while process.state[1] == "off":
        clock.advance(0.5)
        process.read()
    announced_s = clock.now_s
    clock.advance(1.1)
    process.read()
    assert process.state[1] == "on"
    return float(announced_s - since_s)


def test_a_cache_that_comes_and_goes(process: Any, clock: Any) -> None:
    """Pauses double, to a minute; after more than a minute without trouble they begin anew."""
    pauses_s = [_off_for_s(process, clock) for _ in range(6)]
    assert pauses_s == [pytest.approx(expected, abs=0.6) for expected in (5, 10, 20, 40, 60, 60)]
    clock.advance(59.0)
    assert _off_for_s(process, clock) == pytest.approx(60, abs=0.6)
    clock.advance(61.0)
    assert _off_for_s(process, clock) == pytest.approx(5, abs=0.6)


def test_a_process_that_is_cut_off(process: Any, new_process: Any, clock: Any) -> None:
    """Another one switches the cache on; the one cut off reads the storage and sees every write."""
    other = new_process()
    other.read(lambda: b"old")
    process.cache.down = True
    process.wrote()
    assert not other.hits()
    clock.advance(5.0)
    other.read()
    clock.advance(1.1)
    other.read()
    assert other.state == (5, "on")
    other.read(lambda: b"new")
    assert other.hits()
    assert process.read(lambda: b"from the storage") == b"from the storage"
    process.wrote()
    assert not other.hits()


def test_a_record_that_cannot_be_moved(process: Any, clock: Any, storage: Any) -> None:
    """A storage that can be read and not written answers reads, though the cache cannot be switched on."""
    process.cache.down = True
    process.wrote()
    process.cache.down = False
    clock.advance(5.0)
    storage.before = [None, StorageUnavailable()]
    assert process.read(lambda: b"loaded") == b"loaded"
