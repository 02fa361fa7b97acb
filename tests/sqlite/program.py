"""What the tests run in other processes: ``program.py COMMAND DATABASE ARGUMENT...``."""
# ruff: noqa: T201 - it answers on its standard output

import os
import resource
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import songs_sqlite.group
from songs.errors import SongsError, StorageClosed, StorageUnavailable
from songs.model import Rating
from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_contract.models import samples
from songs_sqlite import SqliteStorage
from songs_system.system import SystemClock

CLOCK = SystemClock()
LOG_BYTES = 2**20


def opened(path: str) -> SqliteStorage:
    """Return a storage that is open and prepared."""
    storage = SqliteStorage(Path(path), CLOCK, connections=9)
    storage.open()
    storage.prepare()
    return storage


def rate(storage: SqliteStorage, rating_id: str, song_id: str, value: int = 3, key: str | None = None) -> int:
    """Store a rating and return the song's count."""
    rating = Rating(id=rating_id, song_id=song_id, user_id="U1", value=value, rated_at=CLOCK.now(), key=key)
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(CLOCK, 10)) as unit:
        return unit.ratings.add(rating).stats.count


def prepare(path: str) -> None:
    """Open and prepare, as soon as a line comes."""
    print("ready", flush=True)
    sys.stdin.readline()
    opened(path).close()


def hold(path: str, *statements: str) -> None:
    """Run the statements, say "held", and wait for a line."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement).fetchall()
    print("held", flush=True)
    sys.stdin.readline()
    connection.close()


def open_(path: str) -> None:
    """Say whether the storage can be opened."""
    try:
        opened(path).close()
    except SongsError as error:
        print(f"{type(error).__name__}: {error}")
    else:
        print("opened")


def rate_once(path: str, rating_id: str, song_id: str) -> None:
    """Open the storage and rate; say whether that was done."""
    try:
        rate(opened(path), rating_id, song_id)
    except StorageUnavailable:
        print("refused")
    else:
        print("rated")


def checkpoint(path: str) -> None:
    """Empty the log; print whether a reader was in the way."""
    connection = sqlite3.connect(path, isolation_level=None)
    print(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    connection.close()


def vacuum(path: str) -> None:
    """Write the database anew without what it does not use, and `checkpoint`."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("VACUUM")
    connection.close()
    checkpoint(path)


def ratings(path: str, name: str, threads: str, each: str, *song_ids: str) -> None:
    """Rate the songs from several threads: the n-th rating of a thread gives song n the value n % 5 + 1."""
    storage = opened(path)

    def work(thread: int) -> None:
        for n in range(int(each)):
            song_id = song_ids[n % len(song_ids)]
            rate(storage, f"{name}-{thread}-{n}", song_id, n % 5 + 1, key=f"{name}/{thread}/{n}")

    workers = [threading.Thread(target=work, args=(n,)) for n in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    storage.close()


def forever(path: str, song_id: str, first: str) -> None:
    """Rate a song without end, each rating with a key that is its number; print each number once it is stored."""
    storage = opened(path)
    n = int(first)
    while True:
        rate(storage, f"{os.getpid()}-{n}", song_id, n % 5 + 1, key=str(n))
        print(n, flush=True)
        n += 1


def fill(path: str, song_id: str) -> None:
    """Rate until the files may not grow any more, read, and rate with the limit lifted; print what is counted."""
    storage = opened(path)
    acknowledged = 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        while True:
            rate(storage, f"before-{acknowledged}", song_id)
            acknowledged += 1
    except StorageUnavailable as error:
        print(type(error).__name__, error.detail, sep=": ")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    with storage.unit_of_work(Scope.READ, deadline=Deadline.after(CLOCK, 10)) as unit:
        stats = unit.ratings.stats(song_id)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    count = rate(storage, "after", song_id)
    print(acknowledged, stats and stats.count, count)
    storage.close()


def fill_under_reader(path: str, song_id: str) -> None:
    """Rate until the log may not grow any more, which a reader needs; let it go, and rate again, three times."""
    storage = opened(path)
    reading = storage.unit_of_work(Scope.READ, deadline=Deadline.after(CLOCK, 600))
    with reading:
        reading.songs.get(song_id)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_BYTES, resource.RLIM_INFINITY))
        count = 0
        try:
            while True:
                rate(storage, f"R{count:06d}", song_id)
                count += 1
        except StorageUnavailable as error:
            print(f"{type(error).__name__} after {count > 0}")
    print([rate(storage, f"S{n}", song_id) - count for n in range(3)])


def commits(path: str, song_id: str, count: str) -> None:
    """Rate that many times."""
    storage = opened(path)
    for n in range(int(count)):
        rate(storage, f"commit-{count}-{n}", song_id)
    # The last connection to close moves the log into the file, which syncs as well: leave that out.
    os._exit(0)


def fork(path: str, song_id: str) -> None:
    """Use the storage, fork, and use it on both sides; print what the child found."""
    storage = opened(path)
    rate(storage, "before", song_id)
    pid = os.fork()
    if pid == 0:
        try:
            rate(storage, "child-1", song_id)
        except StorageClosed:
            storage.open()
            rate(storage, "child-2", song_id)
            os._exit(7)
        os._exit(1)
    rate(storage, "parent", song_id)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), rate(storage, "after", song_id))
    storage.close()


def fork_and_close(path: str, song_id: str) -> None:
    """Fork, let the child open the storage, close the parent's, and let the child write on."""
    storage = opened(path)
    rate(storage, "before", song_id)
    (child_opened, opens), (parent_closed, closes) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        storage.open()
        rate(storage, "child-1", song_id)
        os.write(opens, b"x")
        os.read(parent_closed, 1)
        rate(storage, "child-2", song_id)
        os._exit(0)
    os.read(child_opened, 1)
    storage.close()
    os.write(closes, b"x")
    os.waitpid(pid, 0)


def fork_within(path: str, song_id: str) -> None:
    """Fork inside of a unit; print what the child may do, and then that the unit went on unharmed."""
    storage = opened(path)
    with storage.unit_of_work(Scope.WRITE_MANY, deadline=Deadline.after(CLOCK, 10)) as unit:
        unit.songs.delete(song_id)
        pid = os.fork()
        if pid == 0:
            try:
                unit.songs.get(song_id)
                sys.exit(3)
            except StorageClosed:
                pass
            try:
                storage.open()
            except SongsError as error:
                sys.exit(7 if type(error) is StorageUnavailable else 1)
            sys.exit(2)
        _, status = os.waitpid(pid, 0)
        song = samples.song("new")
        unit.songs.add(song)
    print(os.waitstatus_to_exitcode(status), rate(storage, "after", "new"))
    storage.close()


def group(storage: SqliteStorage, song_id: str, within: Callable[[], object], count: int) -> None:
    """Rate in one group: one unit calls `within` while the others wait for their turn; say "kept" as each is."""
    songs_sqlite.group.LONGEST_S = 60.0  # type: ignore[misc]  # however slow the machine is

    def one(rating_id: str) -> None:
        rate(storage, rating_id, song_id)
        os.write(1, b"kept\n")

    threads = [threading.Thread(target=one, args=(f"R{n}",)) for n in range(count - 1)]
    with storage.unit_of_work(Scope.WRITE_ONE, deadline=Deadline.after(CLOCK, 10)) as unit:
        for thread in threads:
            thread.start()
        while len(storage._opened().writing.waiting) < len(threads):
            CLOCK.sleep(0.001)
        unit.ratings.add(Rating(id="first", song_id=song_id, user_id="U1", value=1, rated_at=CLOCK.now()))
        within()
    os.write(1, b"kept\n")
    for thread in threads:
        thread.join()


def grouped(path: str, song_id: str, count: str) -> None:
    """Say "begun" within a group of that many units, and "kept" as each is."""
    storage = opened(path)
    rate(storage, "before", song_id)  # the first commit to an empty log syncs more than once
    group(storage, song_id, lambda: os.write(1, b"begun\n"), int(count))
    os._exit(0)


def fork_within_group(path: str, song_id: str) -> None:
    """Fork inside of a group; print what the child may do, and the count after the parent's group."""
    storage = opened(path)
    codes: list[int] = []

    def forks() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                storage.open()
            except StorageUnavailable:
                os._exit(7)
            os._exit(1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    group(storage, song_id, forks, 3)
    print(codes[0], rate(storage, "after", song_id))
    storage.close()


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "hold": hold,
    "open": open_,
    "rate_once": rate_once,
    "checkpoint": checkpoint,
    "vacuum": vacuum,
    "ratings": ratings,
    "forever": forever,
    "fill": fill,
    "fill_under_reader": fill_under_reader,
    "commits": commits,
    "fork": fork,
    "fork_and_close": fork_and_close,
    "fork_within": fork_within,
    "fork_within_group": fork_within_group,
    "grouped": grouped,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
