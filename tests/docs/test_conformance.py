"""The table of adapters by clauses is whole, and made of reports."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from songs_contract.law import clauses
from songs_contract.matrix import CELLS, main, matrix
from songs_contract.report.report import Verdict

FILE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
ROW = re.compile(r"^\| (?P<clause>[A-Z]+-\d+) \| (?P<cells>.*) \|$", re.MULTILINE)
COLUMNS = {
    "storage": {"memory", "sqlite", "mongo", "postgres", "jsonfile"},
    "cache": {"memory", "none", "redis"},
    "limiter": {"memory", "none", "redis"},
    "tokens": {"jwt"},
    "passwords": {"bcrypt"},
    "clock": {"system"},
    "ids": {"system"},
}


def test_every_clause_has_a_row() -> None:
    """Every clause of every port, once, in the order of the ports: the table was made anew since the last change."""
    assert [row["clause"] for row in ROW.finditer(FILE.read_text(encoding="utf-8"))] == list(clauses())


def test_no_clause_fails() -> None:
    """No cell says fail or timed out, nor anything that the kit does not say."""
    cells = {cell for row in ROW.finditer(FILE.read_text(encoding="utf-8")) for cell in row["cells"].split(" | ")}
    verdicts = {re.sub(r" \(\d+ of \d+\)$", "", cell) for cell in cells}

    assert verdicts <= set(CELLS.values()) - {CELLS[Verdict.FAIL], CELLS[Verdict.TIMED_OUT]}
    assert CELLS[Verdict.PASS] in cells


@pytest.mark.parametrize("port", COLUMNS)
def test_every_adapter_has_a_column(port: str) -> None:
    """Each adapter stands under each of its ports, the stand-in for a server named beside it."""
    section = FILE.read_text(encoding="utf-8").partition(f"\n## {port}\n")[2]
    _clause, *columns = (cell.strip() for cell in section.strip().splitlines()[0].strip("|").split("|"))

    assert {column.partition(" ")[0] for column in columns} >= COLUMNS[port]
    assert [column for column in columns if column.startswith("mongo") and "(" not in column] == []


def _report(port: str, verdict: str) -> dict[str, Any]:
    rows = [{"id": each.id, "port": port, "verdict": verdict} for each in clauses().values() if each.port == port]
    return {"clauses": rows}


def test_a_table_of_reports() -> None:
    """A column for each report, under the ports that it is of; verdicts in words."""
    table = matrix({"one": _report("clock", "pass"), "two (with a note)": _report("clock", "fail")})

    assert "| clause | one | two (with a note) |\n|---|---|---|\n| CLK-1 | pass | **fail** |\n" in table
    assert "| STO-1 |" in table


def test_reports_that_are_out_of_date_are_refused() -> None:
    """A report that lacks a clause, or has one that no port states, makes no table."""
    report = _report("clock", "pass")
    report["clauses"].pop()

    with pytest.raises(ValueError, match="the report 'old' is of other clauses than the port 'clock' states"):
        matrix({"old": report})


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It takes files, names columns after them, and says how it is used when there are none."""
    (tmp_path / "system.json").write_text(json.dumps(_report("ids", "declared unsupported")), encoding="utf-8")

    assert main([str(tmp_path / "system.json")]) == 0
    assert "| clause | system |" in capsys.readouterr().out
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
