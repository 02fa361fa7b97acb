"""The contract, over what stands in for MongoDB here."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import songs_contract
from songs_mongo.plugin import TEST_URL

HERE = Path(__file__).parent
SUITES = Path(songs_contract.__file__).with_name("suites")
SETTINGS = Path(songs_contract.__file__).with_name("pytest.ini")

EVERYWHERE = ("ratings", "users", "sessions", "coherence_record", "storage_units", "identity")
"""The suites that mongomock can run.

Not there: songs, search, walk and storage_lifecycle, because it has no ``$indexOfCP``, by which texts of four
characters and more are looked for; concurrency, because its dictionaries change under its own iterations; processes,
because it lives in one; the state machine, which searches.
"""

FERRETDB = "SONGS_TEST_FERRETDB"
UNSHOWN = {
    **dict.fromkeys(
        ("SNG-8", "SNG-9", "SNG-11"), "it has neither $sample nor $or within $expr: no search of long texts"
    ),
    **dict.fromkeys(("SNG-1", "SNG-3", "SNG-12"), "of two sums in one $group it computes the first, the other is 0"),
    "SNG-6": "the same; and a unique member that is taken is code 1 in an update, not 11000",
    **dict.fromkeys(("STO-3", "RAT-7", "SES-2", "COH-2", "COH-3"), "changes of one document at once lose some"),
}
"""What FerretDB 1.24 over SQLite cannot show, and why. The adapter is for MongoDB: it is not bent to this."""
ON_FERRETDB = (*EVERYWHERE, "songs", "search", "concurrency")


def run_kit(target: str, report: Path, *suites: str) -> dict[str, Any]:
    """Run suites of the kit, all by default, and return the report."""
    places = [str(SUITES / f"test_{suite}.py") for suite in suites] or [str(SUITES)]
    program = [sys.executable, "-m", "pytest", "-c", str(SETTINGS), "--rootdir", str(SUITES.parent)]
    options = ["--disable-plugin-autoload", "-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "-q"]
    kit = ["-p", "songs_contract.plugin", "--songs-adapter", f"under_contract:{target}"]
    kit += ["--basetemp", str(report.with_name("places"))]
    search = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    # Whatever deployment the other tests are for: each stand-in says what it has, transactions or none.
    environment = {name: value for name, value in os.environ.items() if name != TEST_URL or target == "over_ferretdb"}
    subprocess.run(
        [*program, *options, *kit, "--songs-report-json", str(report), *places],
        env={**environment, "PYTHONPATH": search},
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=600,
    )
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def holds(report: dict[str, Any]) -> set[str]:
    """Return the clauses that were tested, after seeing that each of them holds."""
    assert report["failed_without_clause"] == []
    assert {each["id"]: each["failed_tests"] for each in report["clauses"] if each["failed_tests"]} == {}
    return {each["id"] for each in report["clauses"] if each["passed_tests"]}


def test_over_a_wire(tmp_path: Path) -> None:
    """Over MongoDB's protocol: ratings and keys, also from many threads at once."""
    proven = holds(run_kit("over_nx", tmp_path / "report", "ratings", "concurrency", "storage_lifecycle", "identity"))
    assert {f"RAT-{n}" for n in range(1, 10)} | {
        "STO-1",
        "STO-2",
        "STO-11",
        "STO-17",
        "STO-19",
        "STO-20",
        "STO-21",
    } <= proven


def test_in_one_process(tmp_path: Path) -> None:
    """Over mongomock: all that it can run."""
    proven = holds(run_kit("over_mongomock", tmp_path / "report", *EVERYWHERE))
    assert {"STO-5", "STO-6", "RAT-4", "USR-2", "SES-2", "COH-2", "STO-20", "STO-21"} <= proven


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_over_a_wire_everything(tmp_path: Path) -> None:
    """Over MongoDB's protocol: every clause but the two that only transactions and snapshots can show."""
    report = run_kit("over_nx", tmp_path / "report")
    left = {each["id"] for each in report["clauses"]} - holds(report)
    assert left == {"STO-8", "STO-9"}


@pytest.fixture
def ferretdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of the program that SONGS_TEST_FERRETDB names, at SONGS_TEST_MONGO_URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    options = ["--handler=sqlite", f"--sqlite-url=file:{tmp_path}/", f"--state-dir={tmp_path}", "--debug-addr=-"]
    server = subprocess.Popen(
        [os.environ[FERRETDB], *options, "--telemetry=disable", f"--listen-addr={address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    monkeypatch.setenv("SONGS_TEST_MONGO_URL", f"mongodb://{address}/")
    yield
    server.kill()
    server.wait()


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.skipif(FERRETDB not in os.environ, reason=f"{FERRETDB} names no FerretDB to run")
def test_over_ferretdb(ferretdb: None, tmp_path: Path) -> None:
    """Every clause holds but those that this server cannot show; the driver waits until it listens."""
    report = run_kit("over_ferretdb", tmp_path / "report", *ON_FERRETDB)
    failed = {each["id"] for each in report["clauses"] if each["failed_tests"]}
    assert report["failed_without_clause"] == []
    assert failed <= set(UNSHOWN)
    proven = {each["id"] for each in report["clauses"] if each["passed_tests"]} - failed
    assert {"RAT-1", "RAT-3", "USR-2", "SES-3", "COH-1"} <= proven
