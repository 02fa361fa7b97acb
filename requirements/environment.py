"""Make the environment that the tox environments share: `environment.py FOLDER`.

It holds the exact versions of dev.lock and the project itself as an editable install. What has not changed since the
last call (the lock file, the interpreter, pyproject.toml) is not done again.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "requirements" / "dev.lock"
PYPROJECT = PROJECT / "pyproject.toml"


def main(folder: Path) -> None:
    """Leave a ready environment in `folder`, also when called twice at once; CalledProcessError where pip fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        interpreter = f"{sys.base_prefix} {sys.version}".encode()
        _once(folder / "made-from", interpreter + LOCK.read_bytes(), lambda: _install_locked(folder))
        _once(folder / "project-from", PYPROJECT.read_bytes(), lambda: _install_project(folder))


def _once(stamp: Path, content: bytes, make: Callable[[], None]) -> None:
    fingerprint = hashlib.sha256(content).hexdigest()
    if not stamp.exists() or stamp.read_text() != fingerprint:
        make()
        stamp.write_text(fingerprint)


def _install_locked(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _pip(folder, "--no-compile", "--require-hashes", "--requirement", str(LOCK))


def _install_project(folder: Path) -> None:
    _pip(folder, "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(PROJECT))


def _pip(folder: Path, *options: str) -> None:
    python = str(folder / "bin" / "python")
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
