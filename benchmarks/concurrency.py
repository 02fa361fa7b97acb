"""How many threads and processes: `concurrency.py` in the environment that `run.py` makes. Prints tables.

The first: one process on one core, reads by 16 and by 64 clients, by server and threads. The second: reads by 8
clients beside 16 that write, whose threads wait for the disk. The third: one process and one a core, bound or not.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import questions
from catalogue import catalogue
from load import Sample, measure, write
from processes import SERVER_CORE, free_port, running, wait_for
from subjects import HERE

SERVERS: Final = ("granian", "gunicorn")
THREADS: Final = (4, 8, 16, 32, 64)
SONGS: Final = 1_000
SECONDS: Final = 3
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Serving:
    """A service that runs, and what is sent to it."""

    port: int
    pid: int
    token: str
    queries: Path
    writes: Path

    def read(self, connections: int) -> Sample:
        """Return what came of reads."""
        return self._measured(self.queries, connections)

    def write(self, connections: int) -> Sample:
        """Return what came of writes."""
        return self._measured(self.writes, connections)

    def _measured(self, file: Path, connections: int) -> Sample:
        options: dict[str, Any] = {"duration_s": SECONDS, "connections": connections}
        return measure(file, port=self.port, pid=self.pid, token=self.token, **options)


@contextmanager
def serving(file: Path, *, core: int | None = SERVER_CORE, **options: str | int) -> Iterator[Serving]:
    """Run a service with these options of `service.py`, on one core or on all."""
    with tempfile.TemporaryDirectory() as name:
        own, port = Path(name), free_port()
        ready, log = own / "ready.json", own / "log"
        asked = [f"--{option}={value}" for option, value in options.items()]
        command = [sys.executable, str(HERE / "service.py"), *asked, f"--port={port}", f"--catalogue={file}"]
        command.append(f"--ready={ready}")
        with running(command, core=core, log=log, environment={}, cwd=own) as pid:
            wait_for(port, ready, pid, log)
            known = json.loads(ready.read_text())
            files = {"stats": own / "queries.txt", "rate": own / "writes.txt"}
            for operation, to in files.items():
                write(questions.requests(operation, known["ids"], [], seed=1), to)
            yield Serving(port, pid, known["token"], files["stats"], files["rate"])


def main() -> None:
    """Measure, and print the tables."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "catalogue.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(entry.line() + "\n" for entry in catalogue(SONGS))
        print(f"load average {os.getloadavg()[0]:.1f}, {ROUNDS} rounds of {SECONDS} s, the median of each figure\n")
        _threads(file)
        _beside_writers(file)
        _processes(file)


def _threads(file: Path) -> None:
    print("| one process on one core, memory | 16 clients: reads/s | CPU us | p99 ms | 64: reads/s | CPU us | p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for server in SERVERS:
        for threads in THREADS:
            with serving(file, server=server, threads=threads, storage="memory", cache="memory") as service:
                few, many = _median([service.read, service.read], [16, 64])
            print(f"| {server}, {threads} threads | {_told(few)} | {_told(many)} |", flush=True)


def _beside_writers(file: Path) -> None:
    print(
        "\n| one process on one core, SQLite | 8 clients beside 16 that rate: reads/s | p50 ms | p99 ms | ratings/s |"
    )
    print("|---|---|---|---|---|")
    for server in SERVERS:
        for threads in THREADS:
            with serving(file, server=server, threads=threads, storage="sqlite") as service:
                queries, ratings = _beside(service)
            told = (
                f"{queries.per_second:,.0f} | {queries.p50_ms:.1f} | {queries.p99_ms:.1f} | {ratings.per_second:,.0f}"
            )
            print(f"| {server}, {threads} threads | {told} |", flush=True)


def _processes(file: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    print(f"\n| SQLite, {len(cores)} cores, which the load uses too, 64 clients | reads/s | CPU us | p99 ms |")
    print("|---|---|---|---|")
    for server in SERVERS:
        for workers, pin in ((1, "no"), (1, "yes"), (len(cores), "no"), (len(cores), "yes")):
            with serving(file, core=None, server=server, workers=workers, pin=pin, storage="sqlite") as service:
                (sample,) = _median([service.read], [64])
            bound = ", bound to cores" if pin == "yes" else ""
            how = f"{server}, {workers} {'process' if workers == 1 else 'processes'}{bound}"
            print(f"| {how} | {_told(sample)} |", flush=True)


def _median(calls: list[Callable[[int], Sample]], connections: list[int]) -> list[Sample]:
    """Return what each call came to in the median of its rates, the calls taking turns."""
    taken: list[list[Sample]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for number, call in enumerate(calls):
            taken[number].append(call(connections[number]))
    return [sorted(each, key=lambda one: one.per_second)[len(each) // 2] for each in taken]


def _beside(service: Serving) -> tuple[Sample, Sample]:
    with ThreadPoolExecutor(1) as other:
        ratings = other.submit(service.write, 16)
        return service.read(8), ratings.result()


def _told(sample: Sample) -> str:
    return f"{sample.per_second:,.0f} | {sample.cpu_us:.1f} | {sample.p99_ms:.1f}"


if __name__ == "__main__":
    main()
