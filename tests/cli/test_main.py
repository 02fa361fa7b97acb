"""The command's first moments."""

import signal
import subprocess
import sys

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
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)


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
    unwanted = "rich structlog sqlite3 redis pymongo gunicorn songs_memory songs_sqlite songs_redis songs_mongo"
    program = f"import sys, songs_api.cli; print([name for name in '{unwanted}'.split() if name in sys.modules])"

    assert _run("-c", program).stdout == "[]\n"
