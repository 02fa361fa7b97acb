"""docs/guarantees.md and docs/security.md name a test for everything that they say is shown."""

import ast
import functools
import re
from pathlib import Path

import pytest

_GUARANTEE = re.compile(r"^\| (?P<number>G\d+)\b(?P<rest>.*)\|$", re.MULTILINE)
_REQUIREMENT = re.compile(r"^\| (?P<number>(?:API)?\d+\b[^|]*)\|(?P<rest>.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`(?P<file>[\w/.]+\.py)::(?P<name>\w+)`")
_NOTHING_TO_SHOW = re.compile(r"\| (?:-|no such code) $")
"""A requirement that is not met, or that is about what the service does not have."""


def _rows(file: Path, row: re.Pattern[str]) -> dict[str, str]:
    return {found["number"].strip(): found["rest"] for found in row.finditer(file.read_text(encoding="utf-8"))}


def _missing(root: Path, text: str) -> list[str]:
    """Return the tests that a text names and that are not there; all of it, where it names none."""
    named = list(_TEST.finditer(text))
    return [test.group() for test in named if test["name"] not in _tests(root / test["file"])] if named else [text]


@functools.cache
def _tests(file: Path) -> frozenset[str]:
    if not file.exists():
        return frozenset()
    return frozenset(node.name for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.FunctionDef))


def test_every_guarantee_is_shown(project_root: Path) -> None:
    """The README's guarantees are those of the table, in the README's words, each with tests that exist."""
    shown = _rows(project_root / "docs" / "guarantees.md", _GUARANTEE)

    quoted = {number: row.rpartition(" | ")[0] for number, row in shown.items()}
    assert quoted == {number: row.rstrip() for number, row in _rows(project_root / "README.md", _GUARANTEE).items()}
    assert [missing for row in shown.values() for missing in _missing(project_root, row)] == []


def test_what_is_done_for_security_is_shown(project_root: Path) -> None:
    """Each risk and each requirement has tests that exist, unless there is nothing to show; so has the text below."""
    document = project_root / "docs" / "security.md"
    rows = {
        number: row for number, row in _rows(document, _REQUIREMENT).items() if not _NOTHING_TO_SHOW.search(f"|{row}")
    }

    assert {f"API{n}" for n in range(1, 11)} - {number.split()[0] for number in rows} == {"API7"}
    assert len(rows) >= 40
    assert [missing for row in rows.values() for missing in _missing(project_root, row)] == []
    assert _missing(project_root, document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "row", ["nothing", "`tests/docs/gone.py::test_x`", "`tests/docs/test_guarantees.py::test_gone`"]
)
def test_a_test_that_is_gone_is_noticed(row: str, project_root: Path) -> None:
    """The check above can fail."""
    assert _missing(project_root, row) == [row]
