"""The tools that generate clients, and are checked against the service as its users' programs are."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
TOOLS: Final = "SONGS_TEST_CLIENT_TOOLS"


def run(*command: str | Path, folder: Path) -> str:
    """Return what a command prints; fail where it does."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of the environment that SONGS_TEST_CLIENT_TOOLS names, or of one that is made for these tests."""
    if TOOLS in os.environ:
        return Path(os.environ[TOOLS])
    folder = tmp_path_factory.mktemp("tools")
    run(sys.executable, "-m", "venv", "venv", folder=folder)
    programs = folder / "venv" / "bin"
    lock = ROOT / "requirements" / "clients.lock"
    run(programs / "pip", "install", "--quiet", "--require-hashes", "--requirement", lock, folder=folder)
    return programs
