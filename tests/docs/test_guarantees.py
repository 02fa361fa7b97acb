"""docs/guarantees.md names a test for every guarantee of the README."""

import ast
import re
from pathlib import Path

import pytest

_ROW = re.compile(r"^\| (?P<number>G\d+)\b(?P<rest>.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(?P<file>[\w/.]+\.py)::(?P<name>\w+)`")


def _rows(file: Path) -> dict[str, str]:
    return {row["number"]: row["rest"] for row in _ROW.finditer(file.read_text(encoding="utf-8"))}


def _missing(root: Path, row: str) -> list[str]:
    """Return the tests that a row names and that are not there; all of it, where it names none."""
    named = list(_TEST.finditer(row))
    return [test.group() for test in named if test["name"] not in _tests(root / test["file"])] if named else [row]


def _tests(file: Path) -> set[str]:
    if not file.exists():
        return set()
    return {node.name for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.FunctionDef)}


def test_every_guarantee_is_shown(project_root: Path) -> None:
    """The README's guarantees are those of the table, each with tests that exist."""
    shown = _rows(project_root / "docs" / "guarantees.md")

    assert list(shown) == list(_rows(project_root / "README.md"))
    assert [missing for row in shown.values() for missing in _missing(project_root, row)] == []


@pytest.mark.parametrize(
    "row", ["nothing", "`tests/docs/gone.py::test_x`", "`tests/docs/test_guarantees.py::test_gone`"]
)
def test_a_test_that_is_gone_is_noticed(row: str, project_root: Path) -> None:
    """The check above can fail."""
    assert _missing(project_root, row) == [row]
