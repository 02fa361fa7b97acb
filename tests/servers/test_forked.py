"""The programs that the tests start: as Python would, in all that these tests rely on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import forked
from tests.running import SONGS, environment

from songs_contract.harness.timing import eventually

SHOWN = """
import json, os, sys, threading
print(json.dumps({
    "told": sys.stdin.read(), "arguments": sys.argv[1:], "folder": os.getcwd(), "name": __name__, "path": sys.path[0],
    "variables": sorted(os.environ), "group": os.getpgid(0) == os.getsid(0) == os.getpid(),
    "files": sorted(os.listdir("/proc/self/fd"))[:3], "threads": threading.active_count(),
}))
sys.exit(3)
"""


def _shown(done: "subprocess.CompletedProcess[str]") -> tuple[int, Any]:
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["file", "module", "text"])
def test_a_program_finds_what_it_would_find(tmp_path: Path, kind: str) -> None:
    """Its folder, its variables, its arguments and its input, and a session of its own; its exit status comes back."""
    folder = tmp_path / "of the program"
    folder.mkdir()
    file = folder / "shown.py"
    file.write_text(SHOWN)
    arguments = {"file": [str(file)], "module": ["-m", "shown"], "text": ["-c", SHOWN]}[kind] + ["one", "two"]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "SONGS_OWN": "1", "LC_CTYPE": "C.UTF-8"}

    real = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=variables,
        input="told",
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )

    assert _shown(forked.run(arguments, tmp_path, variables, told="told", timeout_s=60)) == _shown(real)
    assert real.returncode == 3


def test_a_signal_ends_a_program(tmp_path: Path) -> None:
    """Its status says which, and what it printed is there."""
    program = "import time; print('begun', flush=True); time.sleep(600)"
    with (tmp_path / "said").open("wb") as said:
        process = forked.start(["-c", program], tmp_path, {}, said=said, complained=said)
    try:
        eventually(lambda: (tmp_path / "said").read_text() == "begun\n", within_s=60)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


def test_a_command_that_fails_says_so(tmp_path: Path) -> None:
    """`songs` itself, with its error."""
    done = forked.run([*SONGS[1:], "serve"], tmp_path, environment({"SONGS_PORT": "x"}), told="", timeout_s=60)

    assert done.returncode == 2
    assert "SONGS_PORT" in done.stderr
