"""What a read may believe, rules 1 and 2: without waiting, and without a server."""

import threading
from typing import Any

import pytest

from songs.caching.coherence import Coherence
from songs.errors import SongNotFound
from songs_plugins.none import NoCache

# Rule 1: which hits count.


def test_what_was_loaded_is_kept(process: Any) -> None:
    """The second read is answered by the cache; the record is not read again for half a second."""
    assert process.read(lambda: b"first") == b"first"
    assert process.read(lambda: b"second") == b"first"
    assert process.cache.asked == ["get", "fill", "get"]


def test_the_record_is_read_every_half_second(process: Any, clock: Any, storage: Any) -> None:
    """Not at every read, and in good time before it is too old."""
    process.read()
    reads = []
    for _ in range(10):
        clock.advance(0.25)
        process.read()
        reads.append(len(storage.units))
    assert reads == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]


def test_a_hit_counts_for_a_second(process: Any, clock: Any) -> None:
    """By a record whose reading began a second ago a hit counts, and by an older one it does not."""
    process.read(lambda: b"kept")
    with process.coherence._refreshing:  # another thread is reading the record, and it takes long
        clock.advance(1.0)
        assert process.hits()
        clock.advance(0.001)
        assert not process.hits()
    assert process.hits()


def test_a_hit_that_takes_long(process: Any, clock: Any) -> None:
    """What counts is how old the record is when the cache has answered."""
    process.read(lambda: b"kept")
    process.cache.during = lambda: clock.advance(1.001)
    assert not process.hits()


def test_a_record_that_takes_long(process: Any, clock: Any) -> None:
    """What counts is when its reading began."""
    process.read(lambda: b"kept")
    clock.advance(0.6)
    read = process.runner.read

    def slowly(*arguments: Any, **more: Any) -> Any:
        record = read(*arguments, **more)
        clock.advance(1.001)
        return record

    process.runner.read = slowly
    assert not process.hits()


def test_an_entry_of_another_epoch(process: Any, new_process: Any, clock: Any) -> None:
    """After the record moved off and on, nothing of before is found."""
    process.read(lambda: b"kept")
    other = new_process()
    other.move("off")
    other.move("on")
    assert not other.hits()
    clock.advance(0.5)
    assert process.read(lambda: b"mine") == b"loaded by this read"


def test_a_load_during_which_the_epoch_moves(process: Any, new_process: Any, clock: Any) -> None:
    """What it loaded is kept under the epoch that was read before, where nobody looks any more."""
    other = new_process()

    def load() -> bytes:
        other.move("off")
        other.move("on")
        return b"perhaps old"

    assert process.read(load) == b"perhaps old"
    assert process.cache.asked == ["get", "fill"]
    clock.advance(0.5)
    assert not process.hits()
    assert other.read(lambda: b"mine") == b"loaded by this read"


def test_while_the_record_says_off(process: Any, clock: Any) -> None:
    """The cache is neither asked nor filled, though it answers."""
    process.read()
    process.move("off")
    clock.advance(0.5)
    process.cache.asked.clear()
    assert [process.read(lambda n=n: bytes([n])) for n in range(3)] == [b"\0", b"\1", b"\2"]
    assert process.cache.asked == []


def test_one_thread_reads_the_record(process: Any, clock: Any) -> None:
    """The others meanwhile go on with what they have."""
    process.read(lambda: b"kept")
    clock.advance(0.6)
    inside, leave = threading.Event(), threading.Event()
    read = process.runner.read

    def hang(*arguments: Any, **more: Any) -> Any:
        inside.set()
        assert leave.wait(20)
        return read(*arguments, **more)

    process.runner.read = hang
    reader = threading.Thread(target=process.read)
    reader.start()
    try:
        assert inside.wait(20)
        assert process.hits()
    finally:
        leave.set()
        reader.join(20)


@pytest.mark.parametrize("failing", ["get", "fill"])
def test_reads_do_without_a_cache(process: Any, failing: str) -> None:
    """One that fails costs a load, and nothing else."""

    def during() -> None:
        process.cache.down = process.cache.asked[-1] == failing

    process.cache.during = during
    assert [process.read(lambda n=n: bytes([n])) for n in range(2)] == [b"\0", b"\1"]
    assert process.state == (2, "on")


def test_an_error_is_not_kept(process: Any) -> None:
    """What a load raises reaches the reader, and the next reader loads again."""

    def load() -> bytes:
        raise SongNotFound

    with pytest.raises(SongNotFound):
        process.read(load)
    assert not process.hits()


# Rule 2: an invalidation comes before every answer.


def test_a_write_is_seen(process: Any, new_process: Any) -> None:
    """By the next read of every process, without a word to the storage."""
    other = new_process()
    process.read(lambda: b"old")
    assert other.hits()
    process.wrote()
    assert process.cache.asked[-1] == "invalidate"
    assert other.read(lambda: b"new") == b"new"
    assert process.state == (2, "on")


def test_a_load_from_before_a_write(process: Any, new_process: Any) -> None:
    """It is answered, as it began before; and not kept."""

    def load() -> bytes:
        new_process().wrote()
        return b"old"

    assert process.read(load) == b"old"
    assert not process.hits()


# Without a cache.


def test_a_cache_that_keeps_nothing(process: Any, clock: Any, storage: Any) -> None:
    """It is never asked, and no read asks for the record; of writes one in half a second does."""

    class Watched(NoCache):
        def __getattribute__(self, name: str) -> Any:
            assert name == "capabilities"
            return super().__getattribute__(name)

    process.move("off")
    storage.units.clear()
    coherence = Coherence(Watched(), process.runner, clock)
    assert coherence.fetch("group", "key", lambda: b"loaded", deadline=process.deadline()) == b"loaded"
    assert storage.units == []
    assert coherence.record is None
    looks = []
    for _ in range(6):
        coherence.publish_write(["group"])
        clock.advance(0.25)
        looks.append(len(storage.units))
    assert looks == [1, 2, 2, 3, 3, 4]
