"""What `run.py` runs in the environment that it made: start all, check all, measure in turns, report."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import questions
import sole
from catalogue import catalogue
from load import measure, write, wrk
from processes import LOAD_CORE, SERVER_CORE, free_port, pinned, redis_server, running, wait_for
from report import Results, conditions, markdown
from report import write as write_report
from signins import beside_sign_ins
from subjects import HERE, SUBJECTS, Subject

SONGS = 26_229
SIZES = {True: (1_000, 26_229), False: (1_000, 26_229, 100_000, 1_000_000)}


def main() -> None:
    """Measure, and print the tables."""
    asked = _arguments()
    subjects = [one for one in SUBJECTS if not asked.only or any(word in one.name for word in asked.only)]
    rounds, duration_s = (2, 1) if asked.short else (5, 3)
    results = Results(conditions=conditions(asked.songs, rounds, duration_s))
    wrk()
    with tempfile.TemporaryDirectory(prefix="songs-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        file = folder / "catalogue.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(entry.line() + "\n" for entry in catalogue(asked.songs))
        messages = questions.selective_messages(file)
        redis = stack.enter_context(redis_server(folder)) if any(one.needs_redis for one in subjects) else ""
        runs = [_Run(one, folder, number, redis, messages, stack) for number, one in enumerate(subjects)]
        _measure(runs, results, rounds, duration_s)
    if not asked.only:
        _beside_sign_ins(results, rounds)
        with tempfile.TemporaryDirectory(prefix="songs-benchmark-") as name:
            results.other["bare sql us"] = sole.bare_sql_us(Path(name))
            results.other |= sole.demo(Path(name))
        _grow(results, SIZES[asked.short])
    write_report(results, asked.output)
    print(markdown(results))
    print(f"Written to {asked.output}.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under five minutes: fewer rounds, no large catalogues")
    parser.add_argument("--only", action="append", help="only what has this in its name, such as memory; repeatable")
    parser.add_argument("--songs", type=int, default=SONGS, help="how many songs the services hold")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="the folder for tables and plots")
    return parser.parse_args()


class _Run:
    """A subject that is running."""

    def __init__(
        self, subject: Subject, folder: Path, number: int, redis: str, messages: list[str], stack: ExitStack
    ) -> None:
        self.subject = subject
        self.port = free_port()
        own = folder / str(number)
        own.mkdir()
        ready, log = own / "ready.json", own / "log"
        values = {
            "port": str(self.port),
            "catalogue": str(folder / "catalogue.jsonl"),
            "ready": str(ready),
            "redis": redis.replace("/0", f"/{number}"),
        }
        command = [part.format_map(values) for part in subject.command]
        environment = {key: text.format_map(values) for key, text in subject.environment.items()}
        self.pid = stack.enter_context(running(command, core=SERVER_CORE, log=log, environment=environment, cwd=own))
        wait_for(self.port, ready, self.pid, log)
        self.known: dict[str, Any] = json.loads(ready.read_text())
        self.token: str = self.known.get("token", "")
        self.files = {operation: own / f"{operation}.txt" for operation in subject.operations}
        for operation, file in self.files.items():
            asked = questions.requests(operation, self.known.get("ids", []), messages, seed=number)
            questions.check(operation, asked, port=self.port, token=self.token)
            write(asked, file)
        print(f"{subject.name}: answers as it must", flush=True)


def _measure(runs: list[_Run], results: Results, rounds: int, duration_s: float) -> None:
    turns = [(run, operation) for run in runs for operation in run.files]
    results.samples = {(run.subject.name, operation): [] for run, operation in turns}
    for number in range(rounds):
        random.Random(number).shuffle(turns)
        for run, operation in turns:
            sample = measure(run.files[operation], port=run.port, pid=run.pid, token=run.token, duration_s=duration_s)
            results.samples[run.subject.name, operation].append(sample)
        print(f"round {number + 1} of {rounds}", flush=True)


def _beside_sign_ins(results: Results, rounds: int) -> None:
    for server in ("granian", "gunicorn"):
        with tempfile.TemporaryDirectory(prefix="songs-benchmark-") as name:
            alone_ms, beside_ms, *_ = beside_sign_ins(server, Path(name), rounds=rounds)
        results.other[f"{server}: median of reads, ms"] = alone_ms
        results.other[f"{server}: median of reads while 200 sign in, ms"] = beside_ms


def _grow(results: Results, sizes: tuple[int, ...]) -> None:
    for storage in ("memory", "sqlite"):
        for count in sizes:
            command = pinned(LOAD_CORE, [sys.executable, str(HERE / "operations.py"), storage, str(count)])
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results.growth.append(json.loads(output))
            print(f"{storage}, {count:,} songs", flush=True)
    large = [one for one in results.growth if one["storage"] == "memory"]
    results.other["bytes per song"] = float(str(large[-1]["bytes_per_song"]))


if __name__ == "__main__":
    main()
