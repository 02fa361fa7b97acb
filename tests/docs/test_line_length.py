"""Documents are readable in a terminal and in a diff."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 100
GENERATED = {"conformance.md", "contract.md", "kit-score.md"}
DOCUMENTS = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"))
    if path.name not in GENERATED
)
_UNBREAKABLE = re.compile(r"^(?:[-*] |\d+\. )?\S+$|^!\[[^\]]*\]\(\S+\)$")


def _too_long(markdown: str) -> list[str]:
    """Return the lines over the limit that could be broken: no table rows, code, images or single words."""
    long, fenced = [], False
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if len(line) > COLUMNS and not (fenced or line.startswith("|") or _UNBREAKABLE.match(line.strip())):
            long.append(line)
    return long


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_at_most_100_columns(document: Path) -> None:
    """In every document that is written by hand."""
    assert _too_long(document.read_text(encoding="utf-8")) == []


def test_a_long_line_is_noticed() -> None:
    """The check above can fail, and leaves out tables, code and addresses."""
    words, word = "word " * 21, "x" * 101

    assert _too_long(f"{words}\n| {words}|\n```\n{words}\n```\n- {word}\n- {words}") == [words, f"- {words}"]
