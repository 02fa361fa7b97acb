"""The kit runs from any folder, whatever pytest settings lie there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import HANGS_S

from songs_contract.law import clauses

HERE = Path(__file__).parent
PROGRAM = """
import sys
from songs_contract.run import run_contract
sys.exit(run_contract(sys.argv[1], **dict.fromkeys(sys.argv[2:], True)))
"""

HOSTILE = {
    "pytest.ini": "[pytest]\naddopts = --no-such-option\npython_files = nothing\npython_functions = nothing\n",
    "pyproject.toml": '[tool.pytest.ini_options]\nminversion = "999"\n',
    "conftest.py": "raise RuntimeError('the conftest of the folder was loaded')\n",
    "test_ours.py": "raise RuntimeError('a test of the folder was collected')\n",
}


def contract(folder: Path, target: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Hold an adapter to its contract, from a folder."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, target, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )


@pytest.mark.parametrize("files", [{}, HOSTILE], ids=["an empty folder", "a folder with settings of its own"])
def test_any_folder(tmp_path: Path, files: dict[str, str]) -> None:
    """All clauses are tested, nothing of the folder is loaded, and nothing is left in it, nor among temporary files."""
    folder, temporary = tmp_path / "own", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)

    run = contract(folder, "jwt", TMPDIR=str(temporary))

    assert run.returncode == 0, run.stdout + run.stderr
    for clause in clauses().values():
        if clause.port == "tokens":
            assert any(line.split()[:2] == [clause.id, "pass"] for line in run.stdout.splitlines()), run.stdout
    assert {path.name for path in folder.iterdir()} == files.keys()
    assert list(temporary.iterdir()) == []


def test_json(tmp_path: Path) -> None:
    """Asked for JSON, it prints the report and nothing else, of a broken adapter too."""
    run = contract(tmp_path, "known_bad.tokens:role_is_lost", "json")

    document = json.loads(run.stdout)
    assert run.returncode == 1
    assert [each["id"] for each in document["clauses"] if each["verdict"] == "fail"][:1] == ["TOK-1"]


def test_markdown(tmp_path: Path) -> None:
    """Asked for Markdown, it prints the report and nothing else."""
    run = contract(tmp_path, "system", "markdown")

    assert run.returncode == 0
    assert run.stdout.startswith("# system\n")
    assert {line[:1] for line in run.stdout.splitlines()[4:]} == {"|"}


def test_an_adapter_that_is_not_there(tmp_path: Path) -> None:
    """The status is 2, and standard error says what is wrong."""
    run = contract(tmp_path, "nobody")

    assert run.returncode == 2
    assert run.stderr.startswith("songs contract: there is no adapter 'nobody'")
    assert run.stdout == ""


def test_options_from_the_environment(tmp_path: Path) -> None:
    """What someone sets for pytest in general does not reach the kit."""
    run = contract(tmp_path, "known_bad.system:clock_shows_another_zone", PYTEST_ADDOPTS="--no-such-option")

    assert run.returncode == 1, run.stdout + run.stderr
