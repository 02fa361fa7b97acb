"""Failures that teach: one for each cause, with the clause, what was expected, what was got, and the chapter."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from tests.kit.forked_runs import PLUGIN, Finished, Runner

from songs_contract.law import CHAPTERS, chapter_of, clauses
from songs_contract.models.state_model import CounterexampleError
from songs_contract.report import explanations
from songs_contract.report.explanations import LIKELY_CAUSES, OutOfPatience, compared

PATIENCE_S = 300

pytestmark = pytest.mark.timeout(2 * PATIENCE_S + 30)


def kit(runner: Runner, folder: Path, suites: str, target: str, *options: str) -> Finished:
    """Run pytest with the kit's plugin as `songs contract` does, over some of its suites."""
    modules = [f"songs_contract.suites.test_{suite}" for suite in suites.split()]
    return runner.pytest(
        folder, *PLUGIN, "--tb=no", "-rN", "-q", "--pyargs", *modules, "--songs-adapter", target, *options
    )


def document(runner: Runner, folder: Path, suites: str, target: str, *options: str) -> dict[str, Any]:
    """Return the report of a run, as JSON."""
    kit(runner, folder, suites, target, "--songs-report-json", "report.json", *options)
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("error", [AssertionError("why"), OutOfPatience("why"), CounterexampleError("why", [])])
def test_no_error_of_the_kit_is_named(error: BaseException) -> None:
    """A failure shows its message, not the class in which the kit raised it."""
    with pytest.raises(type(error)) as caught:
        raise error

    assert explanations._expected_and_got(caught) == ("", "why")


def test_a_storage_that_cannot_be_opened(runner: Runner, tmp_path: Path) -> None:
    """One failure says why, though closing fails as well, and everything else counts as not tested."""
    found = document(runner, tmp_path, "songs", "known_bad.half_written:cannot_be_opened")

    (failure,) = found["failures"]
    assert failure["got"] == "songs.errors.StorageUnavailable: no server at the other end"
    assert failure["states"].startswith("open()")
    assert {each["id"] for each in found["clauses"] if each["verdict"] != "not tested"} == {"STO-1"}


def test_a_method_that_is_missing(runner: Runner, tmp_path: Path) -> None:
    """One failure names the repository and the method."""
    (failure,) = document(runner, tmp_path, "songs", "known_bad.half_written:lacks_a_method")["failures"]

    assert failure["got"] == "TypeError: _NoEvents has no of_song"
    assert "missing" in failure["cause"]


def test_a_method_that_is_not_written(runner: Runner, tmp_path: Path) -> None:
    """However many tests need it, it is told once."""
    run = kit(runner, tmp_path, "ratings", "known_bad.half_written:lacks_a_body")

    assert run.stdout.count("_NotWritten.of_song is not written yet: write it.") == 1
    assert re.search(r"the same +in \d+ more tests, of ", run.stdout)


def test_a_lesson(runner: Runner, tmp_path: Path) -> None:
    """It shows the clause, the test and what it states, expected, got, the place, the likely cause and the chapter."""
    run = kit(runner, tmp_path, "songs", "known_bad.songs:count_lags_behind", "--maxfail=1")

    lines = [line.strip() for line in run.stdout.splitlines()]
    assert f"SNG-12: {clauses()['SNG-12'].text}" in lines
    for line in (
        "test          test_songs.py::test_counts",
        "The count of a filter is the number of songs that it finds, at once after every write.",
        "expected      2",
        "got           1",
        f"likely cause  {LIKELY_CAUSES['SNG-12']}.",
        "guide         docs/writing-an-adapter.md, chapter '3. Lists, search and counts'",
    ):
        assert line in lines, run.stdout
    assert any(re.match(r"where +suites/test_songs.py:\d+ in test_counts: assert ", line) for line in lines)


def test_a_fault_is_told_with_its_cause(runner: Runner, tmp_path: Path) -> None:
    """Where the error of a fault is the wrong one, the driver's exception stands beside it."""
    found = document(runner, tmp_path, "faults", "known_bad.faults:unknown_is_called_an_outage")

    told = [
        line for each in found["failures"] for line in str(each).splitlines() if "from DriverError('after')" in line
    ]
    assert told
    assert "kept, though StorageUnavailable(" in told[0]


def test_the_state_machine_writes_a_program(runner: Runner, tmp_path: Path) -> None:
    """A sequence of calls that goes wrong is told as calls, under the clauses of the call that showed it."""
    found = document(runner, tmp_path, "state_machine users", "known_bad.songs:count_lags_behind")
    told = {each["test"].partition("::")[2]: each for each in found["failures"]}["test_any_sequence_of_calls"]
    program = told["got"].partition("the shortest program:\n")[2].splitlines()

    assert program[0].startswith("unit.songs.add")
    assert program[-1].startswith("unit.songs.count(SongFilter(")
    assert told["clauses"][0] == "SNG-12"
    assert {each["id"]: each["verdict"] for each in found["clauses"]}["USR-7"] == "pass"


def test_an_exception_that_is_no_error_of_the_domain(runner: Runner, tmp_path: Path) -> None:
    """The lesson says that it left the adapter, and shows the line there."""
    found = document(runner, tmp_path, "cache", "known_bad.caches:driver_error_leaks")

    assert "no error of songs.errors" in found["failures"][0]["cause"]
    assert any(line.startswith("known_bad/") for line in found["failures"][0]["where"])


def test_a_capability_that_is_denied_and_there(runner: Runner, tmp_path: Path) -> None:
    """What is declared false is tried, and reported where it works."""
    run = kit(runner, tmp_path, "coherence_record", "known_bad.half_written:says_less_than_it_can")

    assert "declared false, and works after all: storage: snapshot_reads" in run.stdout
    assert run.returncode == 0


@pytest.mark.parametrize("target", ["memory", "none", "sqlite"])
def test_good_adapters_say_what_they_can(runner: Runner, tmp_path: Path, target: str) -> None:
    """None of them denies what works."""
    folder = tmp_path / "report"
    folder.mkdir()
    found = document(runner, folder, "coherence_record cache_times limiter_windows", target, "-k", "first_steps")

    assert found["works_after_all"] == []


def test_expected_failures(runner: Runner, tmp_path: Path) -> None:
    """A clause that the adapter's own file lists may fail; a line that is stale fails the run."""
    known = tmp_path / "known.txt"
    target = "known_bad.ratings:statistics_of_no_song"
    known.write_text("# what we know of\n\nRAT-8  the server counts later\n")
    expected = kit(runner, tmp_path, "ratings", target, f"--songs-xfail={known}", "-k", "of_no_song")
    known.write_text("RAT-8  the server counts later\nSNG-13  identities are numbers\n")
    both = "of_no_song or test_identify"
    stale = kit(runner, tmp_path, "ratings songs", target, f"--songs-xfail={known}", "-k", both)

    assert expected.returncode == 0, expected.stdout
    assert "expected to fail: RAT-8: the server counts later" in expected.stdout
    assert "RAT-8     expected failure" in expected.stdout
    assert stale.returncode == 1
    assert f"stale expectation: {known}:2: SNG-13 did not fail (pass); remove the line" in stale.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RAT-8\n", "1: write a clause and the reason"),
        ("\nRAT-88 because\n", "2: no port states the clause 'RAT-88'"),
        ("RAT-8 a\nRAT-8 b\n", "2: RAT-8 stands at"),
        (None, "cannot be read"),
    ],
    ids=["no reason", "no clause", "twice", "no file"],
)
def test_expected_failures_that_cannot_be_read(runner: Runner, tmp_path: Path, text: str | None, message: str) -> None:
    """A file that is wrong is refused with the line, before any test."""
    known = tmp_path / "known.txt"
    if text is not None:
        known.write_text(text)

    run = kit(runner, tmp_path, "clock", "system", f"--songs-xfail={known}")

    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in run.stderr


def test_junit(runner: Runner, tmp_path: Path) -> None:
    """The file for JUnit has each test with its clauses, and the lesson where one failed."""
    kit(runner, tmp_path, "songs", "known_bad.songs:count_lags_behind", "-k", "test_counts", "--junitxml=junit.xml")

    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}  # noqa: S314 - our own
    failure = cases["test_counts"].find("failure")
    assert [each.get("value") for each in cases["test_counts"].iter("property")] == ["SNG-12"]
    assert failure is not None
    assert "likely cause" in (failure.text or "")


def test_parallel(runner: Runner, tmp_path: Path) -> None:
    """With pytest-xdist the report is the same as without."""
    target = "known_bad.songs:count_lags_behind"
    one = document(runner, tmp_path, "songs users", target)
    two = document(runner, tmp_path, "songs users", target, "-p", "xdist.plugin", "-n2")

    assert _sorted(one) == _sorted(two)
    assert {each["verdict"] for each in two["clauses"]} >= {"pass", "fail"}


def _sorted(found: dict[str, Any]) -> list[Any]:
    return [{**each, "failed_tests": sorted(each["failed_tests"])} for each in found["clauses"]]


@pytest.mark.parametrize(
    ("got", "expected", "told"),
    [
        ("x" * 500 + "a", "x" * 500 + "b", ["xxb'", "xxa'"]),
        ([0] * 500 + [1], [0] * 500 + [2], ["(from item 500 on) [2]", "(from item 500 on) [1]"]),
        ({n: n for n in range(500)} | {7: "a"}, {n: n for n in range(500)} | {7: "b"}, ["{7: 'b'}", "{7: 'a'}"]),
        ({"a": ["x" * 400, 1]}, {"a": ["x" * 400, 2]}, ["x', 2]}", "x', 1]}"]),
    ],
    ids=["texts", "lists", "mappings", "members"],
)
def test_long_values_are_shown_where_they_differ(got: object, expected: object, told: list[str]) -> None:
    """The beginning, which is the same on both sides, is left out."""
    _, *lines = compared(got, expected)

    assert [line.endswith(end) for line, end in zip(lines, told, strict=True)] == [True, True], lines


def test_a_failing_example_leaves_nothing_behind(runner: Runner, tmp_path: Path) -> None:
    """What hypothesis found is told, and not that the song of the example before is there already."""
    target = "known_bad.songs:short_texts_find_nothing"
    (failure,) = document(runner, tmp_path, "search", target, "-k", "test_search_in_anything")["failures"]

    assert failure["expected"] == "['song-1']"
    assert "DuplicateSong" not in json.dumps(failure)


@pytest.mark.parametrize(
    ("suite", "test"), [("search", "test_search_in_anything"), ("state_machine", "test_any_sequence_of_calls")]
)
def test_what_happens_once_is_told_as_it_was(runner: Runner, tmp_path: Path, suite: str, test: str) -> None:
    """What hypothesis could not repeat is told with what was expected and got, and that it was not each time."""
    (failure,) = document(runner, tmp_path, suite, "known_bad.unusual:wrong_once", "-k", test)["failures"]

    assert "It does not happen each time" in failure["got"]
    assert "Flaky" not in json.dumps(failure)
    assert "Song" in failure["expected"] or "song-1" in failure["expected"]


def test_what_stays_behind_is_named(runner: Runner, tmp_path: Path) -> None:
    """A thread that a refusal leaves is told by its name."""
    (failure,) = document(runner, tmp_path, "leaks", "known_bad.interleaved:refused_song_leaves_a_thread")["failures"]

    assert "left behind: 1 x the thread a waiter" in failure["got"]


def test_every_clause_has_a_likely_cause() -> None:
    """A failure can say more than that the clause is broken, whichever it is."""
    assert LIKELY_CAUSES.keys() == clauses().keys()


def test_every_clause_has_a_chapter() -> None:
    """Clauses of a storage belong to the chapters of the guide, and what the chapters list is a clause or a prefix."""
    listed = {word for words in CHAPTERS.values() for word in words.split()}
    known = clauses().keys() | {each.partition("-")[0] for each in clauses()}

    assert listed <= known
    for each in clauses().values():
        assert (chapter_of([each.id]) == "Other ports") == (each.port != "storage")
