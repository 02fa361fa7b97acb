"""The score of the kit: whether each planted defect fails under the clauses that name it.

`--matrix` holds each defect to every clause of its port, which takes minutes, and writes docs/kit-score.md.
`--false-alarms 200` holds adapters without defects to theirs, under random seeds: for the night.
How far it is, standard error tells.
"""

import argparse
import itertools
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from songs_contract.law import clauses

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
from tests.kit.forked_runs import PROCESSES, run_all  # noqa: E402 - the folder of a script is on the path, its project is not
from tests.kit.planted import DEFECTS  # noqa: E402

DOCUMENT: Final = HERE.parents[1] / "docs" / "kit-score.md"

# Adapters without defects.
GOOD: Final = (
    ("memory", "storage"),
    ("memory", "cache"),
    ("memory", "limiter"),
    ("sqlite", "storage"),
    ("songs_jsonfile.plugin:songs_adapters", "storage"),
    ("songs_plugins.smallest:songs_adapters", "storage"),
    ("jwt", "tokens"),
    ("bcrypt", "passwords"),
    ("system", "clock"),
    ("system", "ids"),
)

# Clauses without a defect that only they catch, and why they are tested all the same.
REDUNDANT: Final[dict[str, str]] = {}


def defects() -> dict[str, list[str]]:
    """Return what is planted, and the clauses that must fail for it."""
    return {name: broken.split() for name, broken in DEFECTS.items()}


def run(jobs: Sequence[dict[str, Any]], processes: int) -> list[dict[str, Any]]:
    """Return the reports of runs of the kit, in the order of the jobs, and tell on standard error how far it is."""
    began_s, ended = time.monotonic(), itertools.count(1)

    def tell(number: int) -> None:
        of = f"{next(ended)} of {len(jobs)}, {time.monotonic() - began_s:.0f} s"
        sys.stderr.write(f"{of}: {jobs[number]['adapter']} {' '.join(jobs[number]['only'][:1])}\n")

    with tempfile.TemporaryDirectory() as folder:
        return run_all(jobs, Path(folder), processes, tell)


def score(planted: dict[str, list[str]], processes: int) -> dict[str, dict[str, list[str]]]:
    """Hold each defect to the clauses that name it; return those that failed, each with the first test that did."""
    cases = [(name, each) for name, named in planted.items() for each in named]
    found: dict[str, dict[str, list[str]]] = {name: {} for name in planted}
    reports = run([{"adapter": f"known_bad.{name}", "only": [each]} for name, each in cases], processes)
    for (name, each), report in zip(cases, reports, strict=True):
        found[name] |= {each: report["failed"][each]} if each in report["failed"] else {}
    return found


def whole_score(planted: dict[str, list[str]], processes: int) -> dict[str, dict[str, list[str]]]:
    """Hold each defect to every clause of its port; return those that failed, each with all tests that did."""
    jobs = [
        {"adapter": f"known_bad.{name}", "only": of_port(clauses()[named[0]].port), "whole": True}
        for name, named in planted.items()
    ]
    return {name: each["failed"] for name, each in zip(planted, run(jobs, processes), strict=True)}


def matrix(found: dict[str, dict[str, list[str]]]) -> str:
    """Return the document.

    Args:
        found: By defect, the clauses that failed, each with the tests that did.
    """
    only = {name: only_catchers(failed) for name, failed in found.items()}
    caught = sum(set(defects()[name]) <= failed.keys() for name, failed in found.items())
    lines = [
        "# What the contract kit catches",
        "",
        "Written by `python tests/kit/score.py --matrix`. Each defect is planted in an adapter that is right.",
        "",
        f"**{caught} of {len(found)} defects are caught by every clause that names them: {caught / len(found):.0%}.**",
        "",
        "A clause is the only catcher of a defect when every test that fails for it cites the clause.",
        "",
        "| clause | catches | is the only catcher of |",
        "|---|---|---|",
    ]
    for each in clauses():
        catches = [name for name, failed in found.items() if each in failed]
        alone = [name for name in catches if each in only[name]]
        told = ", ".join(f"`{name}`" for name in alone) or f"none: {REDUNDANT.get(each, 'no reason is given')}"
        lines.append(f"| {each} | {len(catches)} | {told} |")
    lines += ["", "| defect | clauses that fail, those that name it first |", "|---|---|"]
    for name, failed in found.items():
        named = defects()[name]
        others = [each for each in clauses() if each in failed and each not in named]
        lines.append(f"| `{name}` | {' '.join(f'**{each}**' for each in named)} {' '.join(others)} |")
    return "\n".join(lines) + "\n"


def only_catchers(failed: dict[str, list[str]]) -> set[str]:
    """Return the clauses that every failing test cites."""
    tests = {test for names in failed.values() for test in names}
    return {each for each, names in failed.items() if set(names) == tests}


def of_port(port: str) -> list[str]:
    """Return the clauses of a port."""
    return [each for each, clause in clauses().items() if clause.port == port]


def false_alarms(runs: int, processes: int) -> int:
    """Hold adapters without defects to their whole contract under random seeds; return how many runs failed."""
    seeds = [secrets.randbelow(1 << 32) for _ in range(runs)]
    jobs = [
        {"adapter": adapter, "only": of_port(port), "whole": True, "seed": seed}
        for seed, (adapter, port) in zip(seeds, itertools.cycle(GOOD), strict=False)
    ]
    failed = [(job, report) for job, report in zip(jobs, run(jobs, processes), strict=True) if report["failed"]]
    for job, report in failed:
        sys.stdout.write(f"{job['adapter']} with seed {job['seed']}: {report['failed']}\n{report['printed']}\n")
    sys.stdout.write(f"{len(failed)} of {runs} runs of adapters without defects failed\n")
    return len(failed)


def main() -> None:
    """Compute what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrix", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--only", default="", metavar="PREFIX", help="only the defects whose name begins so")
    parser.add_argument("--false-alarms", type=int, metavar="RUNS", help="run adapters without defects instead")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    asked = parser.parse_args()
    if asked.false_alarms:
        sys.exit(bool(false_alarms(asked.false_alarms, asked.processes)))
    began_s = time.monotonic()
    planted = {name: named for name, named in defects().items() if name.startswith(asked.only)}
    failed = (whole_score if asked.matrix else score)(planted, asked.processes)
    missed = {name: [each for each in named if each not in failed[name]] for name, named in planted.items()}
    for name, named in planted.items():
        sys.stdout.write(f"{'MISSED' if missed[name] else 'caught':7} {name:50} {' '.join(missed[name] or named)}\n")
    caught = sum(not each for each in missed.values())
    sys.stdout.write(f"{caught} of {len(planted)} defects are caught, in {time.monotonic() - began_s:.0f} s\n")
    if asked.matrix and asked.only:
        sys.stdout.write(matrix(failed))
    elif asked.matrix:
        DOCUMENT.write_text(matrix(failed), encoding="utf-8")
    sys.exit(caught < len(planted))


if __name__ == "__main__":
    main()
