"""The report: what became of each clause, for people, programs and documents."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.kit.forked_runs import PLUGIN, Runner
from tests.kit.forked_runs import Finished as Run

from songs_contract.law import clauses

ADAPTER = "known_bad.ratings:statistics_of_no_song"
ASKED_FOR = {"RAT-8": "fail", "SES-3": "pass", "STO-11": "declared unsupported"}


def kit(runner: Runner, folder: Path, *options: str) -> Run:
    """Run pytest with the kit's plugin, as someone who wants more control would."""
    return runner.pytest(folder, *PLUGIN, "--pyargs", "songs_contract.suites", *options)


@dataclass(frozen=True)
class Finished:
    """What a run left."""

    status: int
    printed: str
    document: dict[str, Any]
    markdown: str

    def clause(self, clause_id: str) -> dict[str, Any]:
        """Return what the document says of a clause."""
        (found,) = [each for each in self.document["clauses"] if each["id"] == clause_id]
        return dict(found)


@pytest.fixture(scope="session")
def finished(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run over three clauses: one is broken, one is kept, one needs a capability that is not declared."""
    folder = tmp_path_factory.mktemp("report")
    wanted = [option for clause_id in ASKED_FOR for option in ("--songs-clause", clause_id)]
    files = ["--songs-report-json", "report.json", "--songs-report-markdown", "report.md"]
    run = kit(runner, folder, "--songs-adapter", ADAPTER, *wanted, *files)
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return Finished(run.returncode, run.stdout, document, (folder / "report.md").read_text(encoding="utf-8"))


def test_verdicts(finished: Finished) -> None:
    """Each clause of the port has a verdict, and those that no test was run for say so."""
    verdicts = {each["id"]: each["verdict"] for each in finished.document["clauses"]}

    assert {clause_id: verdicts.pop(clause_id) for clause_id in ASKED_FOR} == ASKED_FOR
    assert verdicts.keys() | ASKED_FOR == {each.id for each in clauses().values() if each.port == "storage"}
    assert verdicts["COH-1"] == "not tested"


def test_a_broken_clause_ends_the_run_with_status_1(finished: Finished) -> None:
    """Programs learn from the status and from the document that something failed."""
    assert finished.status == 1
    assert finished.document["ok"] is False


def test_the_document(finished: Finished) -> None:
    """It says of each clause what it is, what became of it, and which tests failed; the counts add up."""
    failed = finished.clause("RAT-8")
    verdicts = [each["verdict"] for each in finished.document["clauses"]]

    assert finished.document.keys() == {
        "adapter",
        "ok",
        "counts",
        "clauses",
        "failed_without_clause",
        "timed_out",
        "failures",
        "works_after_all",
        "stale_expectations",
    }
    assert finished.document["adapter"] == ADAPTER
    assert finished.document["failed_without_clause"] == []
    assert finished.document["counts"] == {
        verdict: verdicts.count(verdict)
        for verdict in ("pass", "fail", "timed out", "expected failure", "declared unsupported", "not tested")
    }
    assert (failed["port"], failed["text"]) == ("storage", clauses()["RAT-8"].text)
    assert "test_ratings.py::test_statistics_of_no_song" in failed["failed_tests"]
    assert failed["passed_tests"] > 0


def test_declared_unsupported(finished: Finished) -> None:
    """A clause that needs a capability which is not declared was neither kept nor broken."""
    found = finished.clause("STO-11")

    assert (found["failed_tests"], found["passed_tests"]) == ([], 0)
    assert found["unsupported_tests"] > 0


def test_a_verdict_that_rests_on_a_part_of_the_tests(finished: Finished) -> None:
    """Where a capability is not declared, it is shown how many of the clause's tests were run."""
    broken = finished.clause("RAT-8")
    run = broken["passed_tests"] + len(broken["failed_tests"])

    assert broken["unsupported_tests"] > 0
    assert f"| RAT-8 | fail, {run} of {run + broken['unsupported_tests']} tests |" in finished.markdown
    assert f"RAT-8     fail, {run} of {run + broken['unsupported_tests']} tests " in finished.printed


def test_the_terminal(finished: Finished) -> None:
    """One line for each clause with its verdict, and the failure shows the whole text of the clause."""
    for clause_id, verdict in ASKED_FOR.items():
        assert any(line.split()[:1] == [clause_id] and verdict in line for line in finished.printed.splitlines())
    assert f"RAT-8: {clauses()['RAT-8'].text}" in finished.printed


def test_the_markdown(finished: Finished) -> None:
    """A table of all clauses, whose rows are whole whatever the texts hold."""
    rows = [line for line in finished.markdown.splitlines() if line.startswith("|")]

    assert finished.markdown.startswith(f"# {ADAPTER}\n")
    assert rows[:2] == ["| clause | verdict | text |", "|---|---|---|"]
    assert len(rows) == 2 + len(finished.document["clauses"])
    for row in rows:
        assert row.replace("\\|", "").count("|") == 4
    for clause_id, verdict in ASKED_FOR.items():
        assert any(row.startswith((f"| {clause_id} | {verdict} |", f"| {clause_id} | {verdict}, ")) for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--songs-adapter", "nobody"), "there is no adapter 'nobody'"),
        (("--songs-adapter", "known_bad.ratings:nothing"), "cannot import 'known_bad.ratings:nothing'"),
        (("--songs-adapter", "songs.limits:MAX_TEXT"), "'songs.limits:MAX_TEXT' is neither an AdapterSpec"),
        (("--songs-adapter", "jwt", "--songs-port", "cache"), "does not offer the port 'cache'"),
        (("--songs-adapter", "jwt", "--songs-clause", "TOK-99"), "no port states the clause TOK-99"),
    ],
    ids=["unknown", "no attribute", "no descriptor", "another port", "unknown clause"],
)
def test_what_cannot_be_run(runner: Runner, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    """A run that makes no sense is refused with what is wrong, without a traceback."""
    run = kit(runner, tmp_path, *options)

    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in run.stderr
    assert "Traceback" not in run.stderr
