"""Runs the kit many times in one process: a start of pytest costs more than most of these runs.

Reads a JSON list of ``{"adapter": ..., "clauses": [...], "without": [...], "whole": ..., "seed": ...}`` from
standard input, and writes the list of their reports to standard output, in the same order. A run that is given a single
clause ends with its first failure, unless it is a whole one; `without` names tests that are left out.
"""

import contextlib
import gc
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import songs_contract

SUITES = Path(songs_contract.__file__).with_name("suites")
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in SUITES.glob("test_*.py")}


def run(
    adapter: str,
    clauses: list[str],
    report: Path,
    *,
    without: Sequence[str] = (),
    whole: bool = False,
    seed: int | None = None,
) -> dict[str, Any]:
    """Return the verdicts of one run, the tests that failed, what pytest printed, and the seconds that it took."""
    report.unlink(missing_ok=True)
    # Collecting the suites that cite none of the clauses would take most of the time.
    cited = [name for name, text in TEXTS.items() if any(f'"{clause}"' in text for clause in clauses)]
    arguments = ["-p", "songs_contract.plugin", "-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--tb=short"]
    arguments += ["--songs-adapter", adapter, "--songs-report-json", str(report), "--songs-port", _port(clauses)]
    arguments += [option for clause in clauses for option in ("--songs-clause", clause)]
    arguments += ["-x"] if len(clauses) == 1 and not whole else []
    arguments += ["-k", " and ".join(f"not {test}" for test in without)] if without else []
    arguments += [f"--songs-seed={seed}", f"--hypothesis-seed={seed}"] if seed is not None else []
    printed = io.StringIO()
    started_s = time.monotonic()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        pytest.main([*arguments, "--pyargs", *(f"songs_contract.suites.{name}" for name in sorted(cited))])
    took_s = time.monotonic() - started_s
    found = json.loads(report.read_text())["clauses"] if report.exists() else []
    return {
        "verdicts": {each["id"]: each["verdict"] for each in found},
        "failed": {each["id"]: each["failed_tests"] for each in found if each["failed_tests"]},
        "printed": printed.getvalue(),
        "took_s": took_s,
    }


def main() -> None:
    """Run everything that standard input asks for."""
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for job in json.load(sys.stdin):
            options = {name: job[name] for name in ("without", "whole", "seed") if name in job}
            reports.append(run(job["adapter"], job["clauses"], Path(folder, "report.json"), **options))
            # pytest collects garbage at the end of each run; what was imported by now never becomes any.
            gc.freeze()
    json.dump(reports, sys.stdout)


def _port(clauses: list[str]) -> str:
    # Imported late: pytest has to rewrite the asserts of songs_contract's modules first.
    from songs_contract.clauses import clauses as stated  # noqa: PLC0415

    (port,) = {stated()[clause].port for clause in clauses}
    return port


if __name__ == "__main__":
    main()
