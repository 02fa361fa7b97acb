"""Running the kit as a command does: from any folder, on whatever is installed, undisturbed by the user's pytest settings."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

from songs_contract.subject import UnknownAdapterError, find

SETTINGS = Path(__file__).with_name("pytest.ini")


def run_contract(
    target: str, *, as_json: bool = False, markdown: Path | None = None, thorough: bool = False, seed: int = 0
) -> int:
    """Hold an adapter to its contract and print the report on standard output.

    Args:
        target: An installed adapter's name, or ``module:attribute``.
        as_json: Print the report as JSON, and nothing else.
        markdown: Where to write the report as Markdown as well.
        thorough: Take minutes rather than seconds.
        seed: What random choices start from; 0 makes the same choices every time.

    Returns:
        0 when no clause failed, 1 when one did, 2 when the kit could not be run.
    """
    try:
        find(target)
    except UnknownAdapterError as error:
        sys.stderr.write(f"songs contract: {error}\n")
        return 2
    plugin = _ReportKeeper()
    arguments = ["-c", str(SETTINGS), "--rootdir", str(SETTINGS.parent), "-p", "no:cacheprovider", "-p", "no:randomly"]
    arguments += ["-p", "songs_contract.plugin", "--pyargs", "songs_contract.suites", "--songs-adapter", target]
    arguments += ["--songs-seed", str(seed), *(["--songs-thorough"] if thorough else [])]
    arguments += ["--songs-report-markdown", str(markdown)] if markdown else []
    arguments += [f"--hypothesis-seed={seed}"] if seed else []
    quiet = contextlib.redirect_stdout(io.StringIO()) if as_json else contextlib.nullcontext()
    with quiet:
        status = pytest.main(arguments, plugins=[plugin])
    if as_json:
        sys.stdout.write(plugin.json + "\n")
    return {pytest.ExitCode.OK: 0, pytest.ExitCode.TESTS_FAILED: 1}.get(pytest.ExitCode(status), 2)


class _ReportKeeper:
    """Keeps the finished report of a run."""

    json = "{}"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Take the report when all tests have run."""
        contract = session.config.pluginmanager.get_plugin("songs_contract_session")
        if contract is not None:
            self.json = contract.report.as_json()
