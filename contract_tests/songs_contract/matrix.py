"""One table of adapters by clauses, from the JSON reports that ``songs contract NAME --json`` prints.

``python -m songs_contract.matrix REPORT... > conformance.md``. A report's column is named after its file, whose name
may say more than the adapter's: ``mongo (a replica set of 3).json``.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from songs_contract.law import Clause, clauses
from songs_contract.report.report import Verdict

CELLS: Final = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "**fail**",
    Verdict.TIMED_OUT: "**timed out**",
    Verdict.EXPECTED: "expected failure",
    Verdict.UNSUPPORTED: "unsupported",
    Verdict.NOT_TESTED: "elsewhere",
}
INTRODUCTION: Final = """# Conformance

What became of each clause of the ports when the contract kit held each adapter to it. Made from the kit's own reports;
[operations.md](operations.md#conformance) says how.

- **pass**: at least one test of the kit proves it, and none fails. "(3 of 4)": the adapter does not declare what the
  fourth test needs.
- **timed out**: a test did not end in time, so nothing is known.
- **unsupported**: the adapter declares that it does not have what the clause speaks of.
- **elsewhere**: the kit cannot see it from outside; the adapter's own tests do.

An adapter has a column under each port that it is one for.
"""


def matrix(reports: dict[str, dict[str, Any]]) -> str:
    """Return the table for reports by the names of their columns.

    Raises:
        ValueError: A report is of other clauses than these ports state.
    """
    parts = [INTRODUCTION]
    for port in dict.fromkeys(clause.port for clause in clauses().values()):
        columns = {
            name: {row["id"]: row for row in report["clauses"] if row["port"] == port}
            for name, report in reports.items()
        }
        columns = {name: rows for name, rows in columns.items() if rows}
        stated = [clause for clause in clauses().values() if clause.port == port]
        for name, rows in columns.items():
            if rows.keys() != {clause.id for clause in stated}:
                msg = f"the report {name!r} is of other clauses than the port {port!r} states; make it anew"
                raise ValueError(msg)
        header = ["clause", *columns]
        lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
        lines += [_line(clause, [columns[name][clause.id] for name in columns]) for clause in stated]
        parts.append(f"## {port}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def main(paths: Sequence[str]) -> int:
    """Print the table of the reports at `paths`; return an exit status."""
    reports = {Path(path).stem: json.loads(Path(path).read_text(encoding="utf-8")) for path in paths}
    if not reports:
        sys.stderr.write("usage: python -m songs_contract.matrix REPORT.json...\n")
        return 2
    sys.stdout.write(matrix(reports))
    return 0


def _line(clause: Clause, rows: list[dict[str, Any]]) -> str:
    return f"| {clause.id} | {' | '.join(map(_cell, rows))} |"


def _cell(row: dict[str, Any]) -> str:
    cell, skipped = CELLS[Verdict(row["verdict"])], row.get("unsupported_tests", 0)
    if row["verdict"] != Verdict.PASS or not skipped:
        return cell
    return f"{cell} ({row['passed_tests']} of {row['passed_tests'] + skipped})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
