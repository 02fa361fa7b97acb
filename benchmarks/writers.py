"""Ratings on SQLite by writers and by the time of a sync: `writers.py` in the environment that `run.py` makes.

Prints a table: the service's own code below HTTP, beside the same statements in bare loops, in turns. A slow disk is a
pause before each commit.
"""

import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from catalogue import catalogue
from operations import details

from songs.model import Song
from songs.ports.clock import Deadline
from songs_api.bootstrap.startup import opened
from songs_api.cli.session import load
from songs_sqlite.connection import Connection

SONGS: Final = 1_000
WRITERS: Final = (1, 4, 16)
SYNC_MS: Final = (0, 2, 10)
SECONDS: Final = 2.0
ROUNDS: Final = 3
SETUP: Final = (
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE stats (song_id TEXT PRIMARY KEY, n1 INTEGER) WITHOUT ROWID",
    "CREATE TABLE ratings (song_id TEXT, id TEXT, value INTEGER, PRIMARY KEY (song_id, id)) WITHOUT ROWID",
)
INSERT: Final = "INSERT INTO ratings VALUES (?, ?, 3)"
UPDATE: Final = "UPDATE stats SET n1 = n1 + 1 WHERE song_id = ? RETURNING n1"

Rate = Callable[[int], object]
"""Stores a rating of the song of a number."""


def main() -> None:
    """Measure, and print the table."""
    print(f"load average {os.getloadavg()[0]:.1f}, {ROUNDS} rounds of {SECONDS} s, medians\n")
    print("| writers | sync, ms more | ratings/s | CPU us | bare loops: ratings/s | CPU us |")
    print("|---|---|---|---|---|---|")
    for sync_ms in SYNC_MS:
        for writers in WRITERS:
            with service(sync_ms / 1e3) as rate, bare(sync_ms / 1e3) as rate_bare:
                rounds = [(*measured(rate, writers), *measured(rate_bare, writers)) for _ in range(ROUNDS)]
            figures = (statistics.median(each) for each in zip(*rounds, strict=True))
            print(f"| {writers} | {sync_ms} | {' | '.join(f'{each:,.0f}' for each in figures)} |", flush=True)


def measured(rate: Rate, writers: int) -> tuple[float, float]:
    """Return ratings a second, and CPU microseconds a rating."""
    counts = [0] * writers
    stopping = threading.Event()

    def work(writer: int) -> None:
        while not stopping.is_set():
            rate((writer * 101 + counts[writer] * 7) % SONGS)
            counts[writer] += 1

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    used_s, began_s = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stopping.set()
    for thread in threads:
        thread.join()
    used_s, took_s = time.process_time() - used_s, time.perf_counter() - began_s
    return sum(counts) / took_s, used_s / sum(counts) * 1e6


@contextmanager
def service(sync_s: float) -> Iterator[Rate]:
    """Yield the service's use case, on a disk whose syncs take so much longer."""
    change = Connection.change

    def slow(connection: Connection, sql: str, *parameters: Any) -> int:  # noqa: ANN401 - handed on
        if sql == "COMMIT":
            time.sleep(sync_s)
        return change(connection, sql, *parameters)

    with tempfile.TemporaryDirectory() as folder:
        options = {"storage": "sqlite", "sqlite_path": str(Path(folder) / "songs.db"), "log_level": "warning"}
        with opened(load(options)) as container:
            clock, songs, ratings = container.clock(), container.catalogue(), container.ratings()
            soon = Deadline.after(clock, 60)
            stored: list[Song] = [songs.add(details(entry), deadline=soon) for entry in catalogue(SONGS)]
            Connection.change = slow  # type: ignore[method-assign,assignment]
            try:
                yield lambda number: ratings.rate(
                    user_id="someone", song_id=stored[number].id, value=3, deadline=Deadline.after(clock, 30)
                )
            finally:
                Connection.change = change  # type: ignore[method-assign]


@contextmanager
def bare(sync_s: float) -> Iterator[Rate]:
    """Yield the same statements in transactions of their own, on a connection a thread, one thread at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bare.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in SETUP:
                connection.execute(statement)
            connection.executemany("INSERT INTO stats VALUES (?, 0)", ((f"{number:032x}",) for number in range(SONGS)))
        own, turn, ids = threading.local(), threading.Lock(), iter(range(10**9))

        def rate(number: int) -> None:
            if not hasattr(own, "connection"):
                own.connection = sqlite3.connect(path, isolation_level=None)
                own.connection.execute("PRAGMA synchronous = FULL")
            run, song_id = own.connection.execute, f"{number:032x}"
            with turn:
                run("BEGIN IMMEDIATE")
                run(INSERT, (song_id, f"{next(ids):032x}"))
                run(UPDATE, (song_id,)).fetchall()
                if sync_s:
                    time.sleep(sync_s)
                run("COMMIT")

        yield rate


if __name__ == "__main__":
    main()
