"""What the kit does with adapters that find out what they can do, and with such as do not answer."""

import json
from pathlib import Path

from tests.kit.forked_runs import PLUGIN, Runner

SUITES = ("--pyargs", "songs_contract.suites")


def verdicts(runner: Runner, folder: Path, target: str, *options: str) -> dict[str, str]:
    """Return the verdict on each clause."""
    report = folder / "report.json"
    runner.pytest(folder, *PLUGIN, *SUITES, "--songs-adapter", target, "--songs-report-json", str(report), *options)
    return {each["id"]: each["verdict"] for each in json.loads(report.read_text(encoding="utf-8"))["clauses"]}


def test_an_adapter_that_declares_less_once_it_is_open(runner: Runner, tmp_path: Path) -> None:
    """It is held to what it declares with the server that it found, not to what its descriptor hopes for."""
    wanted = ["--songs-clause", "STO-6", "--songs-clause", "STO-7"]
    found = verdicts(runner, tmp_path, "known_bad.unusual:declares_less_once_open", *wanted)

    assert (found["STO-6"], found["STO-7"]) == ("pass", "pass")


def test_an_adapter_that_hangs(runner: Runner, tmp_path: Path) -> None:
    """Its clause is reported as timed out, which is neither kept nor broken, and the run goes on to its report."""
    found = verdicts(runner, tmp_path, "known_bad.unusual:hangs", "--songs-clause", "STO-16", "--songs-patience", "2")

    assert found["STO-16"] == "timed out"


def test_an_adapter_that_hangs_in_a_sequence_of_calls(runner: Runner, tmp_path: Path) -> None:
    """The call that hung is reported as such, once; it is no counterexample of the clauses that the test is about."""
    suite = "songs_contract.suites.test_state_machine"
    options = ["--tb=no", "--songs-patience", "10", "--songs-report-json", str(tmp_path / "report.json")]
    target = "known_bad.unusual:hangs_when_it_deletes"
    run = runner.pytest(tmp_path, *PLUGIN, "--pyargs", suite, "--songs-adapter", target, *options)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))

    assert run.returncode == 1
    assert report["timed_out"] == ["test_state_machine.py::test_any_sequence_of_calls"]
    assert {each["verdict"] for each in report["clauses"]} == {"timed out", "not tested"}
    assert "the shortest program" not in run.stdout
    assert "it did not end within 10 s" in run.stdout
    assert "give it longer with `--patience SECONDS`" in run.stdout
    assert "in _HangsWhenItDeletes" in run.stdout


def test_an_adapter_that_hangs_when_it_is_opened(runner: Runner, tmp_path: Path) -> None:
    """It is said once that opening it did not end; no clause is reported as broken."""
    options = ["--songs-patience", "2", "--songs-clause", "STO-1", "--songs-clause", "STO-16"]
    found = verdicts(runner, tmp_path, "known_bad.unusual:hangs_when_opened", *options)

    assert (found["STO-1"], found["STO-16"]) == ("timed out", "not tested")


def test_a_server_that_goes_on_with_what_it_was_sent(runner: Runner, tmp_path: Path) -> None:
    """A write that nobody acknowledged may appear after its process was killed, also between two reads."""
    target = "known_bad.unusual:goes_on_with_what_it_was_sent"
    found = verdicts(runner, tmp_path, target, "--songs-clause", "STO-11")

    assert found["STO-11"] == "pass"


def test_a_write_whose_outcome_is_unknown(runner: Runner, tmp_path: Path) -> None:
    """A writer that waited for another, and cannot say whether it wrote, keeps to the clause."""
    options = ["--songs-clause", "STO-14", "-k", "test_a_writer_that_waits_for_another"]
    found = verdicts(runner, tmp_path, "known_bad.unusual:cannot_say_whether_it_wrote", *options)

    assert found["STO-14"] == "pass"


def test_a_counting_cache_without_a_limiter_of_its_name(runner: Runner, tmp_path: Path) -> None:
    """What needs the limiter is reported as unsupported, and the rest is tested."""
    target, wanted = "known_bad.unusual:counts_without_a_limiter", ["TOG-1", "TOG-7", "TOG-9"]
    options = [option for each in wanted for option in ("--songs-clause", each)]
    found = verdicts(runner, tmp_path, target, *options)

    assert [found[each] for each in wanted] == ["pass", "pass", "declared unsupported"]


def test_an_adapter_from_a_fixture(runner: Runner, tmp_path: Path) -> None:
    """A pytest fixture is a target like a function, and what follows its yield is run in the end."""
    found = verdicts(runner, tmp_path, "known_bad.unusual:from_a_fixture", "--songs-clause", "COH-1")

    assert found["COH-1"] == "pass"
    assert (tmp_path / "ended").exists()


def test_a_fixture_with_arguments(runner: Runner, tmp_path: Path) -> None:
    """Nobody can fill them in, which is said before any test."""
    run = runner.pytest(tmp_path, *PLUGIN, *SUITES, "--songs-adapter", "known_bad.unusual:with_arguments")

    assert "the fixture 'known_bad.unusual:with_arguments' has arguments" in run.stderr


def test_a_storage_with_one_unit_at_a_time(runner: Runner, tmp_path: Path) -> None:
    """That is slow, and no defect: neither the probes of what it denies nor the races take it for one."""
    suites = ["songs_contract.suites.test_concurrency", "songs_contract.suites.test_coherence_record"]
    run = runner.pytest(
        tmp_path, *PLUGIN, "--pyargs", *suites, "--songs-adapter", "known_bad.unusual:one_unit_at_a_time"
    )

    assert run.returncode == 0, run.stdout


def test_a_sandbox_that_raises(runner: Runner, tmp_path: Path) -> None:
    """It is told once what it said, and nothing else was tested."""
    run = runner.pytest(
        tmp_path, *PLUGIN, "--tb=no", "-rN", *SUITES, "--songs-adapter", "known_bad.unusual:has_no_sandbox"
    )

    assert run.returncode == 1
    assert run.stdout.count("got           RuntimeError: there is no server to test with: set ACME_TEST_URL") == 1
    assert "likely cause  the sandbox lacks something on this machine" in run.stdout
    assert "making a place for it" in run.stdout
    assert "1 fail, " in run.stdout
