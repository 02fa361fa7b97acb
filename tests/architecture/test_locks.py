"""The lock files hold what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str]] = PYPROJECT["dependency-groups"]
CORE: list[str] = PYPROJECT["project"]["dependencies"]
WANTED = {
    "dev.lock": [*CORE, *(line for extra in EXTRAS.values() for line in extra), *GROUPS["dev"]],
    "contract.lock": [*CORE, *EXTRAS["contract"]],
    "runtime.lock": [*CORE, *EXTRAS["mongo"], *EXTRAS["postgres"], *EXTRAS["redis"]],
    "build.lock": PYPROJECT["build-system"]["requires"],
    "benchmarks.lock": [*CORE, *EXTRAS["redis"], *GROUPS["benchmarks"]],
    "clients.lock": [
        line for line in (ROOT / "requirements" / "clients.in").read_text().splitlines() if not line.startswith("#")
    ],
}


def _locked(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_file_satisfies_pyproject(lock: str) -> None:
    """Each range has a locked version within it; otherwise run requirements/lock."""
    locked = _locked(lock)
    requirements = [Requirement(line) for line in WANTED[lock]]

    unmet = [
        str(one) for one in requirements if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))
    ]

    assert unmet == []


@pytest.mark.parametrize("lock", ["build.lock", "contract.lock", "runtime.lock"])
def test_all_lock_files_agree(lock: str) -> None:
    """What is deployed has the versions that were tested."""
    assert _locked(lock).items() <= _locked("dev.lock").items()
