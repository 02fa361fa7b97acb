"""The contract kit, over the installed adapter."""

import subprocess
import sys
from pathlib import Path

import pytest

import songs_contract

PATIENCE_S = 600
"""For one test of the kit. Its state machine sends some 30,000 statements, which takes its time on a busy machine."""


@pytest.mark.usefixtures("user")
def test_the_contract(tmp_path: Path) -> None:
    """Every clause of the ports passes, or is declared unsupported."""
    settings = Path(songs_contract.__file__).with_name("pytest.ini")
    options = ["-c", str(settings), "-p", "no:cacheprovider", "-p", "songs_contract.plugin", "--rootdir", str(tmp_path)]
    kit = ["--pyargs", "songs_contract.suites", "--songs-adapter", "postgres", "--songs-patience", str(PATIENCE_S)]
    kit += ["--basetemp", str(tmp_path / "places")]
    command = [sys.executable, "-m", "pytest", *options, *kit]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
