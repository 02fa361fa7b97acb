"""What every test of the project may rely on."""

import os
import subprocess
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("songs", deadline=None, print_blob=True)


def pytest_configure() -> None:
    """Keep a developer's settings out of the tests; SONGS_TEST_* variables say where real servers are."""
    hypothesis.settings.load_profile("songs")
    for name in list(os.environ):
        if name.startswith("SONGS_") and not name.startswith("SONGS_TEST_"):
            del os.environ[name]
    os.environ["no_proxy"] = "127.0.0.1,localhost,::1"


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def project_files(project_root: Path) -> list[Path]:
    """Every file that a commit holds or would hold: tracked, or neither tracked nor ignored."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project_root,
        check=True,
        capture_output=True,
        text=True,
    )
    files = [project_root / name for name in sorted(set(listing.stdout.split("\0")) - {""})]
    return [file for file in files if file.is_file()]
