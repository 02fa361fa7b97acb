"""Runs of the kit for the tests of the kit: by one server that forks for each, see `many_runs.py`."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import songs_contract
from songs_contract.law import clauses

HERE: Final = Path(__file__).parent
SUITES: Final = Path(songs_contract.__file__).with_name("suites")
EXAMPLES: Final = sorted((HERE.parents[1] / "examples").glob("*/src"))
PROCESSES: Final = (os.cpu_count() or 1) + 2
"""How many runs at once: some only wait."""
PLUGIN: Final = ("-p", "songs_contract.plugin", "-p", "no:randomly", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Finished:
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


class Runner:
    """A server of runs, one at a time.

    Args:
        orders: Where it takes them.
        answers: Where it answers.
    """

    def __init__(self, orders: TextIO, answers: TextIO) -> None:
        self._orders = orders
        self._answers = answers

    def pytest(self, folder: Path, *arguments: str, **environment: str) -> Finished:
        """Run pytest in a folder."""
        order = {"arguments": arguments, "folder": str(folder), "environment": environment}
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        answer = json.loads(self._answers.readline())
        return Finished(answer["status"], answer["stdout"], answer["stderr"])


@contextmanager
def runners(folder: Path, count: int) -> Iterator[list[Runner]]:
    """Start servers of runs, which import the kit once for all of them."""
    # From an empty folder: the settings of this project's own tests are not the kit's.
    search = os.pathsep.join([str(HERE), *map(str, EXAMPLES)])
    environment = {**os.environ, "PYTHONPATH": search, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for name in [each for each in environment if each.startswith("PYTEST_XDIST")]:
        del environment[name]
    pipes = [(os.pipe(), os.pipe()) for _ in range(count)]
    theirs = [each for (taken, _), (_, given) in pipes for each in (taken, given)]
    command = [sys.executable, str(HERE / "many_runs.py"), *map(str, theirs)]
    # Closed in this order: they end when there are no more orders.
    with (
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=theirs, cwd=folder, env=environment),
        ExitStack() as ours,
    ):
        for each in theirs:
            os.close(each)
        yield [
            Runner(ours.enter_context(os.fdopen(orders, "w")), ours.enter_context(os.fdopen(answers)))
            for (_, orders), (answers, _) in pipes
        ]


def run(
    runner: Runner,
    folder: Path,
    adapter: str,
    only: Sequence[str],
    *,
    without: Sequence[str] = (),
    whole: bool = False,
    seed: int | None = None,
) -> dict[str, Any]:
    """Hold an adapter to some clauses of one port; return the verdicts, the tests that failed, and what was printed.

    Those that are named `without` are left out; a `whole` run goes on after a failure, also where there is only one
    clause; random choices start from `seed`.
    """
    report = folder / "report.json"
    with suppress(FileNotFoundError):
        report.unlink()
    (port,) = {clauses()[each].port for each in only}
    # Collecting the suites that cite none of the clauses would take most of the time.
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SUITES.glob("test_*.py")}
    cited = [name for name, text in texts.items() if any(f'"{each}"' in text for each in only)]
    arguments = [*PLUGIN, "-q", "--tb=short", "--songs-adapter", adapter, "--songs-report-json", str(report)]
    arguments += ["--songs-port", port, *(option for each in only for option in ("--songs-clause", each))]
    arguments += ["-x"] if len(only) == 1 and not whole else []
    arguments += ["-k", " and ".join(f"not {test}" for test in without)] if without else []
    arguments += [f"--songs-seed={seed}", f"--hypothesis-seed={seed}"] if seed is not None else []
    arguments += ["-p", "unshrunk" if seed is None else "_hypothesis_pytestplugin"]
    done = runner.pytest(folder, *arguments, "--pyargs", *(f"songs_contract.suites.{name}" for name in sorted(cited)))
    found = json.loads(report.read_text(encoding="utf-8"))["clauses"] if report.exists() else []
    return {
        "verdicts": {each["id"]: each["verdict"] for each in found},
        "failed": {each["id"]: each["failed_tests"] for each in found if each["failed_tests"]},
        "printed": done.stdout + done.stderr,
    }


def run_all(
    jobs: Sequence[dict[str, Any]],
    folder: Path,
    processes: int,
    told: Callable[[int], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Return what came of runs, each given by the arguments of `run`, in the order of the jobs.

    `told` is called with the number of each that has ended.
    """
    waiting = iter(range(len(jobs)))
    found: list[dict[str, Any]] = [{}] * len(jobs)

    def work(name: int, runner: Runner) -> None:
        own = folder / f"worker-{name}"
        own.mkdir()
        # Each takes the next that nobody has taken: some last a hundred times as long as others.
        for number in waiting:
            found[number] = run(runner, own, **jobs[number])
            told(number)

    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(processes) as pool, runners(folder, processes) as started:
        list(pool.map(work, itertools.count(), started))
    return found
