"""The score of the kit: which clauses fail for which planted defect. `--matrix` writes docs/kit-score.md.

Takes some minutes, since every defect meets every test of its port; `test_score.py` runs what each defect must fail.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from songs_contract.clauses import clauses

HERE: Final = Path(__file__).parent
DOCUMENT: Final = HERE.parents[1] / "docs" / "kit-score.md"

# Clauses without a defect that only they catch, and why they are tested all the same.
REDUNDANT: Final[dict[str, str]] = {}


def defects() -> dict[str, list[str]]:
    """Return what is planted, and the clauses that must fail for it, from the table of `test_score.py`."""
    for node in ast.parse((HERE / "test_score.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "DEFECTS":
            return {name: broken.split() for name, broken in ast.literal_eval(node.value or node).items()}
    raise LookupError


def run(jobs: Sequence[dict[str, Any]], processes: int) -> list[dict[str, Any]]:
    """Return the reports of runs of the kit, in the order of the jobs."""

    def share(start: int) -> list[dict[str, Any]]:
        finished = subprocess.run(
            [sys.executable, HERE / "many_runs.py"],
            input=json.dumps(jobs[start::processes]),
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(HERE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            text=True,
            check=True,
        )
        return list(json.loads(finished.stdout))

    # From an empty folder: the settings of this project's own tests are not the kit's.
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        shares = list(pool.map(share, range(processes)))
    return [shares[index % processes][index // processes] for index in range(len(jobs))]


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


def main() -> None:
    """Compute the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrix", action="store_true", help=f"write {DOCUMENT.name}")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    began_s = time.monotonic()
    planted = defects()
    jobs = []
    for name, named in planted.items():
        port = clauses()[named[0]].port
        of_port = [each for each, clause in clauses().items() if clause.port == port]
        jobs.append({"adapter": f"known_bad.{name}", "clauses": of_port if asked.matrix else named, "whole": True})
    reports = dict(zip(planted, run(jobs, asked.processes), strict=True))
    missed = {n: [c for c in named if c not in reports[n]["failed"]] for n, named in planted.items()}
    for name, named in planted.items():
        sys.stdout.write(f"{'MISSED' if missed[name] else 'caught':7} {name:50} {' '.join(missed[name] or named)}\n")
    caught = sum(not each for each in missed.values())
    sys.stdout.write(f"{caught} of {len(missed)} defects are caught, in {time.monotonic() - began_s:.0f} s\n")
    if asked.matrix:
        DOCUMENT.write_text(matrix({name: report["failed"] for name, report in reports.items()}), encoding="utf-8")
    sys.exit(caught < len(missed))


if __name__ == "__main__":
    main()
