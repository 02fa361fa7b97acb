"""README's "Use it" works after "Try it" as it is written, in the same shell and in the next one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import HANGS_S

PASSWORD = "a long pass phrase"


@pytest.fixture
def checkout(project_root: Path, tmp_path: Path) -> Path:
    """A folder in which "Try it" was run: the environment that it makes is the one of these tests."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "entrypoints").symlink_to(project_root / "entrypoints")
    return tmp_path


def _sh(checkout: Path, *lines: str) -> str:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(checkout / "home"), "SONGS_BCRYPT_ROUNDS": "4"}
    command = ["sh", "-ec", "\n".join(lines)]
    ran = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=HANGS_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_use_it_works_as_it_is_written(project_root: Path, checkout: Path) -> None:
    """Every line; the password is given where it is asked for, and serving is left out."""
    readme = (project_root / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## Use it\n.*?^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert block is not None
    lines = [line.partition(" #")[0].rstrip() for line in block[1].splitlines()]
    assert lines[-1] == "songs serve"
    given = [f"echo '{PASSWORD}' | {line} --password-stdin" if "users add" in line else line for line in lines[:-1]]

    first = _sh(checkout, *given, "songs users list")
    following = _sh(checkout, lines[0], "songs users list", "songs config --json", "songs export | wc -l")

    assert "added 615," in first
    assert re.search(r"^ada +admin ", first, re.MULTILINE)
    assert re.search(r"^ada +admin ", following, re.MULTILINE)
    assert re.search(r'"SONGS_JWT_SECRET",\s+"value": "\*+",\s+"source": ".env"', following)
    assert following.split()[-1] == "615"
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
