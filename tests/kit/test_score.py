"""The kit's score: it finds every planted defect, under the clause that the defect breaks, and none where none is."""

import ast
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kit import small_ports
from tests.kit.forked_runs import PROCESSES, run_all
from tests.kit.planted import DEFECTS

from songs_contract.law import clauses

HERE = Path(__file__).parent
PATIENCE_S = 300

CASES = [(name, clause) for name, broken in DEFECTS.items() for clause in broken.split()]

# Held to every clause that some defect of their ports breaks.
UNBROKEN = {
    "memory": ("storage", "cache", "limiter"),
    "sqlite": ("storage",),
    "jwt": ("tokens",),
    "bcrypt": ("passwords",),
    "system": ("clock", "ids"),
    "none": ("cache", "limiter"),
    "known_bad.songs:scans": ("storage",),
    "known_bad.faults:bears": ("storage",),
    "known_bad.cache_servers:served": ("cache",),
    "known_bad.limiter_servers:served": ("limiter",),
    "known_bad.counting_caches:right": ("cache",),
    **small_ports.UNBROKEN,
}

Job = tuple[str, tuple[str, ...]]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[Job, dict[str, Any]]:
    """The report of every run: each defect under its clause, each unbroken adapter under those of each port."""
    jobs: list[Job] = [(f"known_bad.{name}", (clause,)) for name, clause in CASES]
    jobs += [(adapter, held_to(adapter, port)) for adapter, ports in UNBROKEN.items() for port in ports]
    orders = [{"adapter": adapter, "only": only} for adapter, only in jobs]
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Above the folders of the processes that tests are distributed to.
        folder = folder.parent
    reports = made_once(folder / "score.json", lambda: run_all(orders, tmp_path_factory.mktemp("empty"), PROCESSES))
    return dict(zip(jobs, reports, strict=True))


def made_once(file: Path, make: Callable[[], Any]) -> Any:
    """Return what the first process that asks makes; the others wait, and read it."""
    with file.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(file.read_text(encoding="utf-8"))


def held_to(adapter: str, port: str) -> tuple[str, ...]:
    """Return the clauses of a port that some defect breaks; for an adapter in `known_bad`, one of the same module."""
    module = adapter.removeprefix("known_bad.").partition(":")[0] + ":" if ":" in adapter else ""
    broken = {clause for name, clause in CASES if name.startswith(module)}
    return tuple(each for each, clause in clauses().items() if clause.port == port and each in broken)


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.parametrize(("name", "clause"), CASES)
def test_a_defect_is_found(runs: dict[Job, dict[str, Any]], name: str, clause: str) -> None:
    """The clause that the defect breaks fails, and the failure shows what the clause says."""
    report = runs[f"known_bad.{name}", (clause,)]

    assert report["verdicts"].get(clause) == "fail", report["printed"]
    assert f"{clause}: {clauses()[clause].text}" in report["printed"]


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.parametrize(("adapter", "port"), [(name, port) for name, ports in UNBROKEN.items() for port in ports])
def test_no_false_alarm(runs: dict[Job, dict[str, Any]], adapter: str, port: str) -> None:
    """An adapter without the defects breaks none of these clauses."""
    report = runs[adapter, held_to(adapter, port)]
    verdicts = {clause: report["verdicts"].get(clause) for clause in held_to(adapter, port)}

    assert set(verdicts.values()) <= {"pass", "declared unsupported"}, report["printed"]
    assert "pass" in verdicts.values()


def test_every_planted_defect_is_scored() -> None:
    """No defect lies in known_bad without a line in the table."""
    planted = set()
    for path in sorted((HERE / "known_bad").glob("*.py")):
        if path.stem in {"__init__", "backends", "planting", "unusual", "half_written", "unfinished"}:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.Tuple):
                planted |= {f"{path.stem}:{target.id}" for target in node.targets if isinstance(target, ast.Name)}

    # Not defects: what the defects of search, and those of a backend that fails, are planted in.
    right = {"songs:scans", "faults:bears", "cache_servers:served", "limiter_servers:served", "counting_caches:right"}
    right |= {each.removeprefix("known_bad.") for each in small_ports.UNBROKEN}
    assert {each for each in planted if each.partition(":")[2].islower()} - right == set(DEFECTS)


@pytest.mark.timeout(PATIENCE_S + 30)
def test_a_clause_without_its_test_is_noticed(tmp_path: Path) -> None:
    """Were the only test that catches a defect removed, `test_a_defect_is_found` would fail for that defect."""
    order = {"adapter": "known_bad.songs:identify_has_no_case", "only": ["SNG-13"], "whole": True}
    (whole,) = run_all([order], tmp_path / "whole", 1)
    catchers = {each.partition("::")[2].partition("[")[0] for each in whole["failed"]["SNG-13"]}
    (without,) = run_all([{**order, "without": sorted(catchers)}], tmp_path / "without", 1)

    assert whole["verdicts"]["SNG-13"] == "fail"
    assert without["verdicts"]["SNG-13"] != "fail"
