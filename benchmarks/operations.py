"""CPU time of each operation below HTTP, in a catalogue of some size: `operations.py STORAGE COUNT`. Prints JSON.

In short runs that take turns, of which the fastest counts: other work on the machine makes runs longer, never shorter.
"""

import argparse
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from catalogue import Entry, catalogue
from questions import selective_messages

from songs.application.importing import BATCH
from songs.model import SongDetails
from songs.ports.clock import Deadline
from songs.query import PageNumber, SongFilter, Walk
from songs.text import fold
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.cli.session import load

ROUNDS: Final = 60
CALLS: Final = 100
SAMPLE: Final = 2_000

Call = Callable[[int], object]


def main() -> None:
    """Fill a storage and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("storage")
    parser.add_argument("count", type=int)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = {"storage": asked.storage, "log_level": "warning"}
        if asked.storage == "sqlite":
            options["sqlite_path"] = str(Path(folder) / "songs.db")
        with opened(load(options)) as container:
            result = _import(container, asked.count)
            file = Path(folder) / "catalogue.jsonl"
            with file.open("w", encoding="utf-8") as lines:
                lines.writelines(entry.line() + "\n" for entry in catalogue(asked.count))
            calls = _calls(container, selective_messages(file))
            gc.collect()
            gc.freeze()
            result["cpu_us"] = _measured(calls)
    json.dump({"storage": asked.storage, "count": asked.count, **result}, sys.stdout)


def _import(container: Container, count: int) -> dict[str, object]:
    importer, clock = container.importer(), container.clock()
    before = _resident_bytes()
    rates: list[float] = []
    entries = (details(entry) for entry in catalogue(count))
    for part in _split(count):
        used_s = 0.0
        for size in part:
            batch = list(islice(entries, size))
            started_s = time.process_time()
            importer.apply(batch, deadline=Deadline.after(clock, 60))
            gc.freeze()  # as `songs import` does
            used_s += time.process_time() - started_s
        rates.append(used_s / sum(part) * 1e6)
    gc.collect()
    return {"import_us_by_tenth": rates, "bytes_per_song": (_resident_bytes() - before) / count}


def _split(count: int) -> Iterator[list[int]]:
    """Yield the sizes of the batches of each tenth."""
    for _ in range(10):
        tenth = count // 10
        yield [min(BATCH, tenth - start) for start in range(0, tenth, BATCH)]


def details(entry: Entry) -> SongDetails:
    """Return what the service takes of an entry."""
    return SongDetails(
        artist=entry.artist,
        title=entry.title,
        difficulty_milli=round(entry.difficulty * 1000),
        level=entry.level,
        released=entry.released,
    )


def _calls(container: Container, messages: list[str]) -> dict[str, Call]:
    clock, songs, ratings, cursors = container.clock(), container.catalogue(), container.ratings(), container.cursors()
    everything = SongFilter()
    ids: list[str] = []
    cursor = None
    while True:
        page = songs.page(everything, Walk(cursor, 100), deadline=Deadline.after(clock, 60))
        ids += [song.id for song in page.songs]
        cursor = page.next_cursor
        if cursor is None:
            break
    chance = random.Random(3)
    some = [chance.choice(ids) for _ in range(SAMPLE)]
    walks = [Walk(cursors.encode(one, everything), 20) for one in some]
    texts = [SongFilter(text=fold(message)) for message in messages]

    def soon() -> Deadline:
        return Deadline.after(clock, 3)

    return {
        "stats": lambda n: ratings.stats(some[n % SAMPLE], deadline=soon()),
        "get": lambda n: songs.get(some[n % SAMPLE], deadline=soon()),
        "list by cursor": lambda n: songs.page(everything, walks[n % SAMPLE], deadline=soon()),
        "first page": lambda _: songs.page(everything, PageNumber(1, 20), deadline=soon()),
        "search": lambda n: songs.page(texts[n % len(texts)], PageNumber(1, 20), deadline=soon()),
        "rate": lambda n: ratings.rate(user_id="someone", song_id=some[n % SAMPLE], value=1 + n % 5, deadline=soon()),
    }


def _measured(calls: dict[str, Call]) -> dict[str, float]:
    best = dict.fromkeys(calls, float("inf"))
    for number in range(ROUNDS):
        for name, call in calls.items():
            started_s = time.process_time()
            for n in range(number * CALLS, (number + 1) * CALLS):
                call(n)
            best[name] = min(best[name], (time.process_time() - started_s) / CALLS * 1e6)
    return best


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main()
