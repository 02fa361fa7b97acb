"""The page about what the kit catches is of these defects and these clauses, and has no gap."""

import re
from pathlib import Path

import pytest
from tests.kit.score import DOCUMENT, REDUNDANT, defects

from songs_contract.law import clauses

CLAUSE = re.compile(r"^\| (?P<id>[A-Z]+-\d+) \| (?P<catches>\d+) \| (?P<alone>.*) \|$", re.MULTILINE)
DEFECT = re.compile(r"^\| `(?P<name>\w+:\w+)` \| (?P<failed>.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    """The page."""
    return Path(DOCUMENT).read_text(encoding="utf-8")


def test_every_defect_is_there(page: str) -> None:
    """Whoever plants a defect, or names another clause for one, writes the page anew: see CONTRIBUTING.md."""
    told = {row["name"]: re.findall(r"\*\*([A-Z]+-\d+)\*\*", row["failed"]) for row in DEFECT.finditer(page)}

    assert told == defects()
    assert f"**{len(told)} of {len(told)} defects are caught by every clause that names them: 100%.**" in page


def test_every_clause_is_there(page: str) -> None:
    """Each clause of each port, once, in their order."""
    assert [row["id"] for row in CLAUSE.finditer(page)] == list(clauses())


def test_no_clause_is_there_for_nothing(page: str) -> None:
    """Each is the only catcher of a defect that names it, or of another one, or has a reason."""
    for row in CLAUSE.finditer(page):
        alone = re.findall(r"`(\w+:\w+)`", row["alone"])
        assert set(alone) <= defects().keys()
        assert alone or row["alone"] == f"none: {REDUNDANT[row['id']]}"


def test_reasons_are_for_clauses_that_need_one(page: str) -> None:
    """No reason is left of a clause that alone catches something by now."""
    assert {row["id"] for row in CLAUSE.finditer(page) if row["alone"].startswith("none: ")} == REDUNDANT.keys()
