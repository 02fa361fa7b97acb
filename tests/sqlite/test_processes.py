"""Several processes on one file, and processes that die."""

import random
import subprocess
import time
from collections.abc import Callable

from songs.model import Rating, RatingStats, Song
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_sqlite import SqliteStorage

Child = subprocess.Popen[str]
Start = Callable[..., Child]
At = Callable[[float], Deadline]


def _add(storage: SqliteStorage, deadline: Deadline, *songs: Song) -> None:
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline) as unit:
        unit.songs.add_many(songs)


def _events(storage: SqliteStorage, deadline: Deadline, song_id: str) -> tuple[RatingStats | None, tuple[Rating, ...]]:
    with storage.unit_of_work(Scope.READ, deadline=deadline) as unit:
        return unit.ratings.stats(song_id), unit.ratings.of_song(song_id, limit=1_000_000)


def test_ratings_of_two_processes_are_all_counted(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """Two processes of three threads each rate two songs: every rating is stored and counted once."""
    _add(storage, deadline(5), song("S1"), song("S2"))
    children = [start("ratings", name, 3, 100, "S1", "S2") for name in ("a", "b")]
    assert [child.wait() for child in children] == [0, 0]
    for song_id, first in (("S1", 0), ("S2", 1)):
        stats, events = _events(storage, deadline(5), song_id)
        values = [n % 5 + 1 for n in range(first, 100, 2)] * 6
        assert stats == RatingStats.of(values)
        assert stats == RatingStats.of(event.value for event in events)


def _killed(child: Child) -> str:
    """Kill a process and return what it had still written: `communicate` would lose what `readline` has read ahead."""
    assert child.stdout is not None
    child.kill()
    rest = child.stdout.read()
    child.communicate()
    return rest


def test_a_killed_writer_loses_nothing_that_it_acknowledged(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], rating: Callable[..., Rating], deadline: At
) -> None:
    """A writer is killed at random moments; what it acknowledged is there, and a repeated key is stored once."""
    _add(storage, deadline(5), song("S1"))
    done = 0
    for kill in range(5):
        child = start("forever", "S1", done)
        assert child.stdout is not None
        for _ in range(random.randrange(5, 60)):
            done = int(child.stdout.readline()) + 1
        time.sleep(random.random() / 500)  # not to wait for anything: to die at another point of a rating each time
        rest = _killed(child)
        done += len(rest.split())
        stats, _ = _events(storage, deadline(5), "S1")
        assert stats is not None
        assert stats.count in (done, done + 1)
        with storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(5)) as unit:
            unit.ratings.add(rating(f"again-{kill}", "S1", done % 5 + 1, key=str(done)))
        done += 1
        stats, events = _events(storage, deadline(5), "S1")
        assert stats == RatingStats.of(n % 5 + 1 for n in range(done))
        assert sorted(int(event.key or -1) for event in events) == list(range(done))


def test_a_killed_writer_leaves_a_file_that_opens_by_itself(
    open_storage: Callable[..., SqliteStorage], start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """When the only process was killed, the next one to open the file recovers its log."""
    first = open_storage()
    _add(first, deadline(5), song("S1"))
    first.close()
    child = start("forever", "S1", 0)
    assert child.stdout is not None
    for _ in range(20):
        child.stdout.readline()
    rest = _killed(child)
    stats, events = _events(open_storage(), deadline(5), "S1")
    assert stats is not None
    assert stats.count == len(events)
    assert stats.count - 20 - len(rest.split()) in (0, 1)


def test_processes_may_prepare_at_once(start: Start, open_storage: Callable[..., SqliteStorage]) -> None:
    """Four processes that make the same file at the same moment all succeed."""
    children = [start("prepare") for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.wait() for child in children] == [0, 0, 0, 0]
    open_storage()


def test_a_forked_process_opens_the_storage_for_itself(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """A child's use of what its parent opened is refused; once it opens the storage, both lose nothing."""
    _add(storage, deadline(5), song("S1"))
    out, _ = start("fork", "S1").communicate()
    assert out == "7 4\n"


def test_a_forked_process_takes_locks_of_its_own(
    open_storage: Callable[..., SqliteStorage], start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """The parent's closing does not take the log away under the child that has opened the storage since."""
    storage = open_storage()
    _add(storage, deadline(5), song("S1"))
    storage.close()
    assert start("fork_and_close", "S1").wait() == 0
    _, events = _events(open_storage(), deadline(5), "S1")
    assert [event.id for event in events] == ["before", "child-1", "child-2"]


def test_a_process_forked_inside_a_unit_cannot_harm_it(
    storage: SqliteStorage, start: Start, song: Callable[..., Song], deadline: At
) -> None:
    """A child that was forked while a unit was open is refused the file, and the parent's unit commits whole."""
    _add(storage, deadline(5), song("S1"))
    out, _ = start("fork_within", "S1").communicate()
    assert out == "7 1\n"
    with storage.unit_of_work(Scope.READ, deadline=deadline(5)) as unit:
        assert unit.songs.get("S1") is None
        assert unit.songs.get("new") is not None
