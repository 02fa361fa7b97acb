"""The report: what became of each clause, failures that an adapter's authors expect included."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import pytest

from songs_contract.law import Clause, clauses, place_of
from songs_contract.report.explanations import Lesson, by_cause
from songs_plugins import AdapterSpec

_LINE: Final = re.compile(r"(?P<clause>\S+)\s+(?P<reason>\S.*)")


class ExpectedFailuresError(Exception):
    """The file cannot be used; the message names the line, and says what to do."""


@dataclass(frozen=True, slots=True)
class ExpectedFailure:
    """One line of the file."""

    clause: str
    reason: str
    where: str


def read_expected(path: Path) -> dict[str, ExpectedFailure]:
    """Return the clauses that may fail. Empty lines, and such as begin with ``#``, say nothing.

    Raises:
        ExpectedFailuresError: The file cannot be read, or a line is not one clause and a reason.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the file of expected failures {path} cannot be read: {error}"
        raise ExpectedFailuresError(msg) from error
    found: dict[str, ExpectedFailure] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match, where = _LINE.fullmatch(line.strip()), f"{path}:{number}"
        if match is None:
            msg = f"{where}: write a clause and the reason why it may fail, such as 'STO-9 the server has no snapshots'"
            raise ExpectedFailuresError(msg)
        if match["clause"] not in clauses():
            msg = f"{where}: no port states the clause {match['clause']!r}; remove the line"
            raise ExpectedFailuresError(msg)
        if match["clause"] in found:
            msg = f"{where}: {match['clause']} stands at {found[match['clause']].where} already; keep one of the lines"
            raise ExpectedFailuresError(msg)
        found[match["clause"]] = ExpectedFailure(match["clause"], match["reason"], where)
    return found


MAX_LESSONS: Final = 5
"""So many causes are told at length; others may be gone when these are."""


class Verdict(StrEnum):
    """What a run says of a clause."""

    PASS = "pass"
    FAIL = "fail"
    TIMED_OUT = "timed out"
    EXPECTED = "expected failure"
    UNSUPPORTED = "declared unsupported"
    NOT_TESTED = "not tested"


@dataclass(slots=True, kw_only=True)
class Noted:
    """The outcome of one test, in plain values: it may come from another process."""

    test: str
    clauses: list[str]
    outcome: str
    lesson: dict[str, Any] | None = None
    works_after_all: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, report: pytest.TestReport, test: str, ids: Sequence[str], lesson: Lesson | None, *, timed_out: bool = False
    ) -> Self:
        """Return what is to be noted of a test's report."""
        outcome: str = "expected" if hasattr(report, "wasxfail") else report.outcome
        if outcome == "failed" and timed_out:
            outcome = "timed_out"
        if outcome == "skipped" and "not tested" in report.longreprtext:
            outcome = "not tested"
        return cls(test=test, clauses=list(ids), outcome=outcome, lesson=lesson.as_dict() if lesson else None)

    def as_dict(self) -> dict[str, Any]:
        """Return it in values that any process can read."""
        return asdict(self)

    @classmethod
    def from_dict(cls, members: dict[str, Any]) -> Self:
        """Return what `as_dict` was called on."""
        return cls(**members)


@dataclass(slots=True)
class _Outcome:
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    timed_out: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        if self.failed:
            return Verdict.FAIL
        if self.timed_out:
            return Verdict.TIMED_OUT
        if self.expected:
            return Verdict.EXPECTED
        if self.passed:
            return Verdict.PASS
        return Verdict.UNSUPPORTED if self.skipped else Verdict.NOT_TESTED

    @property
    def coverage(self) -> str:
        """How many of the tests were run, where capabilities that are not declared kept some from it."""
        run = len({*self.passed, *self.failed, *self.timed_out, *self.expected})
        skipped = len({*self.skipped})
        return f"{run} of {run + skipped} tests" if run and skipped else ""


class Report:
    """Collects outcomes by clause.

    Args:
        target: What the adapter was named by.
        specs: The descriptors under test.
        expected: The failures that the adapter's authors know of; empty too where only a part of the kit is run.
    """

    def __init__(self, target: str, specs: tuple[AdapterSpec, ...], expected: Collection[ExpectedFailure] = ()) -> None:
        self.target = target
        ports = {spec.port.value for spec in specs}
        self._clauses = [clause for clause in clauses().values() if clause.port in ports]
        self._outcomes = {clause.id: _Outcome() for clause in self._clauses}
        self._uncited_failures: list[str] = []
        self._timed_out: list[str] = []
        self._lessons: list[Lesson] = []
        self._works_after_all: list[str] = []
        self._expected = {each.clause: each for each in expected}

    def note(self, noted: Noted) -> None:
        """Note the outcome of one test under its clauses."""
        self._works_after_all += noted.works_after_all
        if noted.outcome in {"failed", "timed_out"}:
            if noted.outcome == "timed_out":
                self._timed_out.append(noted.test)
            elif not noted.clauses:
                self._uncited_failures.append(noted.test)
            self._lessons += [Lesson(**noted.lesson)] if noted.lesson else []
        for each in noted.clauses:
            found = self._outcomes.setdefault(each, _Outcome())
            if noted.outcome in {"passed", "failed", "timed_out", "expected", "skipped"}:
                getattr(found, noted.outcome).append(noted.test)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each clause of the ports under test."""
        return {clause.id: self._outcomes[clause.id].verdict for clause in self._clauses}

    @property
    def stale(self) -> list[str]:
        """The lines of the file of expected failures that say what is not so any more."""
        return [
            f"{line.where}: {clause_id} did not fail ({self._outcomes[clause_id].verdict}); remove the line"
            for clause_id, line in self._expected.items()
            if clause_id in self._outcomes and not self._outcomes[clause_id].expected
        ]

    @property
    def ok(self) -> bool:
        """Whether nothing failed or timed out, and nothing that was expected to fail did not."""
        return not (Verdict.FAIL in self.verdicts.values() or self._uncited_failures or self._timed_out or self.stale)

    def lessons(self) -> Iterator[tuple[str, str]]:
        """Yield a title and a text for each cause of failures, in the order of the guide."""
        causes = by_cause(sorted(self._lessons, key=lambda lesson: place_of(lesson.chapter)))
        for lesson, others in causes[:MAX_LESSONS]:
            text = lesson.as_text()
            if others:
                broken = sorted({each for other in others for each in other.clauses}, key=_order)
                text += f"\n  {'the same':13} in {len(others)} more tests, of {', '.join(broken)}"
            yield lesson.test, text
        if causes[MAX_LESSONS:]:
            yield "and more", f"{len(causes) - MAX_LESSONS} more causes; write or mend these first"

    def as_text(self) -> str:
        """Return the report for a terminal."""
        verdicts = self.verdicts
        lines = [f"{self.target}: {self._summary()}"]
        lines += [
            f"  {clause.id:9} {self._shown(clause):21} {_short(clause)}"
            for clause in self._clauses
            if verdicts[clause.id] is not Verdict.NOT_TESTED
        ]
        untested = [each for each, verdict in verdicts.items() if verdict is Verdict.NOT_TESTED]
        lines += [f"  not tested: {', '.join(untested)}"] if untested else []
        lines += [f"  failed, citing no clause: {test}" for test in self._uncited_failures]
        lines += [f"  timed out, which says nothing about its clauses: {test}" for test in self._timed_out]
        return "\n".join([*lines, *self._remarks()])

    def as_json(self) -> str:
        """Return the report for a program."""
        counts = Counter(self.verdicts.values())
        document: dict[str, Any] = {
            "adapter": self.target,
            "ok": self.ok,
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "clauses": [self._row(clause) for clause in self._clauses],
            "failed_without_clause": self._uncited_failures,
            "timed_out": self._timed_out,
            "failures": [lesson.as_dict() for lesson in self._lessons],
            "works_after_all": self._works_after_all,
            "stale_expectations": self.stale,
        }
        return json.dumps(document, indent=2)

    def as_markdown(self) -> str:
        """Return the report for a document."""
        rows = [f"| {c.id} | {self._shown(c)} | {c.text.replace('|', chr(92) + '|')} |" for c in self._clauses]
        lines = [f"# {self.target}", "", self._summary(), *self._remarks(), ""]
        return "\n".join([*lines, "| clause | verdict | text |", "|---|---|---|", *rows])

    def _shown(self, clause: Clause) -> str:
        """Return the verdict, with how much of the clause it rests on where that is not all of its tests."""
        outcome = self._outcomes[clause.id]
        return f"{outcome.verdict.value}, {outcome.coverage}" if outcome.coverage else outcome.verdict.value

    def _row(self, clause: Clause) -> dict[str, Any]:
        outcome = self._outcomes[clause.id]
        return {
            "id": clause.id,
            "port": clause.port,
            "text": clause.text,
            "verdict": outcome.verdict.value,
            "failed_tests": outcome.failed,
            "timed_out_tests": outcome.timed_out,
            "expected_failures": outcome.expected,
            "passed_tests": len(outcome.passed),
            "unsupported_tests": len(outcome.skipped),
        }

    def _remarks(self) -> list[str]:
        remarks = [f"  declared false, and works after all: {each}" for each in self._works_after_all]
        known = [line for clause_id, line in self._expected.items() if self._outcomes[clause_id].expected]
        remarks += [f"  expected to fail: {line.clause}: {line.reason}" for line in known]
        return [*remarks, *(f"  stale expectation: {line}" for line in self.stale)]

    def _summary(self) -> str:
        counts = Counter(self.verdicts.values())
        return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])


def _short(clause: Clause, width: int = 84) -> str:
    return clause.text if len(clause.text) <= width else clause.text[: width - 3].rstrip() + "..."


def _order(clause_id: str) -> tuple[str, int]:
    return clauses()[clause_id].order
