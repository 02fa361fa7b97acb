"""The command's first moments."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import HANGS_S

INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "songs_api.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt)
from songs_api.__main__ import main
main()
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=HANGS_S)


def test_ctrl_c_at_the_start_prints_no_traceback() -> None:
    """Whoever changes their mind while the program is loaded reads nothing about its modules."""
    result = _run("-c", INTERRUPTED_IMPORT)

    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


def test_the_package_is_a_command() -> None:
    """`python -m songs_api` is `songs`."""
    result = _run("-m", "songs_api", "--version")

    assert result.returncode == 0
    assert result.stdout.startswith("songs-api ")


def test_nothing_is_loaded_that_the_command_may_not_need() -> None:
    """Loading the command line loads no adapter, no driver and no library for people's terminals: that takes long."""
    unwanted = (
        "rich structlog sqlite3 redis pymongo psycopg gunicorn "
        "songs_memory songs_sqlite songs_redis songs_mongo songs_postgres"
    )
    program = f"import sys, songs_api.cli; print([name for name in '{unwanted}'.split() if name in sys.modules])"

    assert _run("-c", program).stdout == "[]\n"


SONG = '{"artist":"a","title":"b","difficulty":1,"level":1,"released":"2000-01-01"}\n'


def _shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `$songs` is the command, over a database in `folder`."""
    variables = {"songs": f"{sys.executable} -m songs_api", "SONGS_STORAGE": "sqlite", "SONGS_SQLITE_PATH": "songs.db"}
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**{name: text for name, text in os.environ.items() if not name.startswith("SONGS_")}, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("$songs import - <&-", "standard input is closed; give a file, or write songs to it"),
        ("$songs users add ada --password-stdin <&-", "standard input is closed; give --password-stdin and write"),
        ("$songs export - >&-", "standard output is closed; give a file"),
        ("$songs export >&-", "standard output is closed; give a file"),
    ],
)
def test_what_a_closed_stream_was_needed_for_is_not_done(tmp_path: Path, line: str, what: str) -> None:
    """Nothing is reported as done that was not."""
    ran = _shell(tmp_path, line)

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran.stderr
    assert ran.stderr.startswith(f"songs: {what}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("errors", ["2>/dev/full", "2> >(exec <&-)", "2>&-"])
@pytest.mark.parametrize(("bad", "status"), [("", 0), ("bad\n" * 2000, 1)])
def test_an_import_goes_on_where_its_errors_cannot_be_written(
    tmp_path: Path, errors: str, bad: str, status: int
) -> None:
    """Neither the lines that are refused nor the audit's keep songs from being imported."""
    (tmp_path / "file").write_text(bad + SONG)

    ran = _shell(tmp_path, f"$songs import file {errors}")

    assert (ran.returncode, ran.stderr) == (status, "")
    assert ran.stdout == f"added 1, updated 0, unchanged 0, refused {bad.count('b')}\n"
