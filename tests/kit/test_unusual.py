"""What the kit does with adapters that find out what they can do, and with such as do not answer."""

import json
from pathlib import Path

from tests.kit.forked_runs import PLUGIN, Runner


def verdicts(runner: Runner, folder: Path, target: str, *options: str) -> dict[str, str]:
    """Return the verdict on each clause."""
    report = folder / "report.json"
    suites = ["--pyargs", "songs_contract.suites", "--songs-adapter", target]
    runner.pytest(folder, *PLUGIN, *suites, "--songs-report-json", str(report), *options)
    return {each["id"]: each["verdict"] for each in json.loads(report.read_text(encoding="utf-8"))["clauses"]}


def test_an_adapter_that_declares_less_once_it_is_open(runner: Runner, tmp_path: Path) -> None:
    """It is held to what it declares with the server that it found, not to what its descriptor hopes for."""
    wanted = ["--songs-clause", "STO-6", "--songs-clause", "STO-7"]
    found = verdicts(runner, tmp_path, "known_bad.unusual:declares_less_once_open", *wanted)

    assert (found["STO-6"], found["STO-7"]) == ("pass", "pass")


def test_an_adapter_that_hangs(runner: Runner, tmp_path: Path) -> None:
    """The test that waits for it fails when its time is over, and the run goes on to its report."""
    found = verdicts(runner, tmp_path, "known_bad.unusual:hangs", "--songs-clause", "STO-16", "--songs-patience", "2")

    assert found["STO-16"] == "fail"
