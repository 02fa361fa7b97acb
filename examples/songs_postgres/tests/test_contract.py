"""The contract kit, over the installed adapter."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.usefixtures("user")
def test_the_contract(tmp_path: Path) -> None:
    """Every clause of the ports passes, or is declared unsupported."""
    songs = Path(sys.executable).with_name("songs")
    result = subprocess.run([songs, "contract", "postgres"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
