"""The report: what became of each clause."""

import json
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from songs_contract.clauses import Clause, clauses
from songs_plugins import AdapterSpec


class Verdict(StrEnum):
    """What a run says of a clause."""

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "declared unsupported"
    NOT_TESTED = "not tested"


@dataclass(slots=True)
class _Outcome:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.failed:
            return Verdict.FAIL
        if self.passed:
            return Verdict.PASS
        return Verdict.UNSUPPORTED if self.unsupported else Verdict.NOT_TESTED


class Report:
    """Collects outcomes by clause.

    Args:
        target: What the adapter was named by.
        specs: The descriptors under test.
    """

    def __init__(self, target: str, specs: tuple[AdapterSpec, ...]) -> None:
        self.target = target
        ports = {spec.port.value for spec in specs}
        self._clauses = [clause for clause in clauses().values() if clause.port in ports]
        self._outcomes = {clause.id: _Outcome() for clause in self._clauses}
        self._uncited_failures: list[str] = []

    def note(self, test: str, ids: list[str], outcome: pytest.TestReport) -> None:
        """Note the outcome of one test under its clauses."""
        if not ids and outcome.failed:
            self._uncited_failures.append(test)
        for each in ids:
            found = self._outcomes.setdefault(each, _Outcome())
            if outcome.failed:
                found.failed.append(test)
            elif outcome.skipped:
                found.unsupported.append(test)
            else:
                found.passed.append(test)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each clause of the ports under test."""
        return {clause.id: self._outcomes[clause.id].verdict for clause in self._clauses}

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return Verdict.FAIL not in self.verdicts.values() and not self._uncited_failures

    def as_text(self) -> str:
        """Return the report for a terminal."""
        lines = [f"{self.target}: {self._summary()}"]
        lines += [
            f"  {clause.id:9} {verdict.value:21} {_short(clause)}"
            for clause in self._clauses
            if (verdict := self.verdicts[clause.id])
        ]
        lines += [f"  failed, citing no clause: {test}" for test in self._uncited_failures]
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return the report for a program."""
        counts = Counter(self.verdicts.values())
        document: dict[str, Any] = {
            "adapter": self.target,
            "ok": self.ok,
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "clauses": [
                {
                    "id": clause.id,
                    "port": clause.port,
                    "text": clause.text,
                    "verdict": self.verdicts[clause.id].value,
                    "failed_tests": self._outcomes[clause.id].failed,
                    "passed_tests": len(self._outcomes[clause.id].passed),
                    "unsupported_tests": len(self._outcomes[clause.id].unsupported),
                }
                for clause in self._clauses
            ],
            "failed_without_clause": self._uncited_failures,
        }
        return json.dumps(document, indent=2)

    def as_markdown(self) -> str:
        """Return the report for a document."""
        rows = [
            f"| {c.id} | {self.verdicts[c.id].value} | {c.text.replace('|', chr(92) + '|')} |" for c in self._clauses
        ]
        return "\n".join(
            [f"# {self.target}", "", self._summary(), "", "| clause | verdict | text |", "|---|---|---|", *rows]
        )

    def _summary(self) -> str:
        counts = Counter(self.verdicts.values())
        return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])


def _short(clause: Clause, width: int = 84) -> str:
    return clause.text if len(clause.text) <= width else clause.text[: width - 3].rstrip() + "..."
