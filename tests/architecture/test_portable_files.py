"""The project's files hold nothing of the machine they were written on."""

import re
from pathlib import Path

import pytest

# Written in parts, so that this file passes its own test.
_FOLDERS = ("home/[a-z]", "Users/[A-Za-z]", "root/", "work/", "tmp/venv", "opt/wheels")
_REGISTRIES = "|".join(
    re.escape(".".join(services))
    for services in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("deb", "debian", "org"),
    )
)
MACHINE_FOLDER = re.compile(rf"(?<![\w.$}}~*/-])/(?:{'|'.join(_FOLDERS)})")
REGISTRY = re.compile(rf"\b(?:{_REGISTRIES})\b", re.IGNORECASE)


def _findings(files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{file}:{number}: {match.group()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for match in pattern.finditer(line)
    ]


def test_no_file_names_a_folder_of_one_machine(project_files: list[Path]) -> None:
    """Home and work folders exist on one machine only."""
    assert _findings(project_files, MACHINE_FOLDER) == []


def test_no_file_names_this_checkout(project_files: list[Path], project_root: Path) -> None:
    """The checkout may lie anywhere."""
    assert _findings(project_files, re.compile(re.escape(str(project_root)) + r"\b")) == []


def test_no_file_names_a_package_registry(project_files: list[Path]) -> None:
    """Where packages come from is up to each machine's pip settings: lock files in particular name no host."""
    assert _findings(project_files, REGISTRY) == []


def test_lock_files_hold_no_option(project_root: Path) -> None:
    """A lock file is requirements and hashes: no index, no find-links, no trusted host."""
    locks = sorted((project_root / "requirements").glob("*.lock"))

    assert locks
    assert _findings(locks, re.compile(r"^\s*--(?!hash=)\S+|://")) == []


@pytest.mark.parametrize(
    "line",
    [
        "cd /" + "home/anna/songs",
        "PYTHONPATH=/" + "work/main/core",
        "'/" + "root/.cache'",
        "see /" + "Users/Ben",
        "--index-url https://" + "pypi." + "org/simple",
    ],
)
def test_the_patterns_find_what_they_are_for(line: str) -> None:
    """The checks above can fail."""
    assert MACHINE_FOLDER.search(line) or REGISTRY.search(line)


@pytest.mark.parametrize("line", ["/songs/home", "~/work", "https://example.net/home/x", "../data/x", "$HOME/root/"])
def test_the_patterns_leave_other_paths_alone(line: str) -> None:
    """URLs and relative paths are nobody's home."""
    assert not MACHINE_FOLDER.search(line)
    assert not REGISTRY.search(line)
