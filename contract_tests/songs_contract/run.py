"""Running the kit as a command does: from any folder, on what is installed, whatever pytest settings the user has."""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from songs_contract.harness.subject import UnknownAdapterError, find
from songs_contract.report.report import Report

SETTINGS = Path(__file__).with_name("pytest.ini")


def run_contract(  # noqa: PLR0913 - one for each option of the command
    target: str,
    *,
    json: bool = False,
    markdown: bool = False,
    thorough: bool = False,
    seed: int | None = None,
    first: bool = False,
    xfail: Path | None = None,
    junit: Path | None = None,
    patience_s: float | None = None,
) -> int:
    """Hold an adapter to its contract and print the report on standard output.

    Args:
        target: An installed adapter's name, or ``module:attribute``, see `songs_contract.harness.subject.find`.
        json: Print the report as JSON, and nothing else.
        markdown: Print the report as Markdown, and nothing else.
        thorough: Take minutes rather than seconds.
        seed: What random choices start from; None makes the same choices every time.
        first: End with the first failure, in the order of the guide.
        xfail: The adapter's file of clauses that are expected to fail, each with its reason.
        junit: Write the outcome of each test to this file, as JUnit does.
        patience_s: How long one test may take; None: 120 s, or 1200 s where it is thorough.

    Returns:
        0 when no clause failed, 1 when one did, 2 when the kit could not be run.
    """
    try:
        find(target)
    except UnknownAdapterError as error:
        sys.stderr.write(f"songs contract: {error}\n")
        return 2
    keeper = _ReportKeeper()
    arguments = ["-c", str(SETTINGS), "--rootdir", str(SETTINGS.parent), "-p", "no:cacheprovider", "--noconftest"]
    arguments += ["--disable-plugin-autoload", "-p", "_hypothesis_pytestplugin"]
    arguments += ["-p", "songs_contract.plugin", "--pyargs", "songs_contract.suites", "--songs-adapter", target]
    arguments += ["--songs-thorough"] if thorough else []
    arguments += [f"--songs-seed={seed}", f"--hypothesis-seed={seed}"] if seed is not None else []
    arguments += ["--maxfail=1"] if first else []
    arguments += [f"--songs-xfail={xfail.absolute()}"] if xfail is not None else []
    arguments += [f"--junitxml={junit.absolute()}"] if junit is not None else []
    arguments += [f"--songs-patience={patience_s}"] if patience_s is not None else []
    quiet = contextlib.redirect_stdout(io.StringIO()) if json or markdown else contextlib.nullcontext()
    with quiet, tempfile.TemporaryDirectory() as folder:
        # Whatever database is set, hypothesis keeps tables of characters in a folder, by default in the current one.
        set_hypothesis_home_dir(folder)
        os.environ.pop("PYTEST_ADDOPTS", None)
        # All runs of pytest on a machine clean up one folder of places, and may fail over each other at that.
        status = pytest.main([*arguments, f"--basetemp={folder}/places"], plugins=[keeper])
    if keeper.report is not None and (json or markdown):
        sys.stdout.write((keeper.report.as_json() if json else keeper.report.as_markdown()) + "\n")
    return {pytest.ExitCode.OK: 0, pytest.ExitCode.TESTS_FAILED: 1}.get(pytest.ExitCode(status), 2)


class _ReportKeeper:
    """Keeps the report of a run."""

    report: Report | None = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Take the report when all tests have run."""
        contract = session.config.pluginmanager.get_plugin("songs_contract_session")
        if contract is not None:
            self.report = contract.report
