"""Measure the service and what it is compared with: `python benchmarks/run.py [--short] [--only memory]`.

Makes an environment of its own from requirements/benchmarks.lock, installs this checkout into it, and measures there.
Needs wrk, and redis-server for what uses Redis.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".tox" / "benchmarks"


def main() -> None:
    """Make the environment and hand over to `measure.py` in it."""
    python = FOLDER / "bin" / "python"
    lock = ROOT / "requirements" / "benchmarks.lock"
    made_of = FOLDER / "made-of.lock"
    if not made_of.exists() or made_of.read_bytes() != lock.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        _pip(python, "-r", str(lock))
        made_of.write_bytes(lock.read_bytes())
    _pip(python, "--no-deps", "--force-reinstall", str(ROOT))
    measure = [str(python), str(ROOT / "benchmarks" / "measure.py"), *sys.argv[1:]]
    sys.exit(subprocess.run(measure, check=False).returncode)


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
