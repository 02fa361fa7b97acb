"""Markdown files say things that hold."""

import re
import tomllib
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import pytest

_FENCED = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(
    r"!?\[[^\]]*\]\(<?(?P<target>[^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(?P<reference>\S+)", re.MULTILINE
)
_HEADING = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*#*$", re.MULTILINE)
_VERSION = re.compile(r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<date>\d{4}-\d{2}-\d{2})$")
_KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def _anchors(markdown: str) -> set[str]:
    slugs: set[str] = set()
    for heading in _HEADING.finditer(_FENCED.sub("", markdown)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = next((n for n in range(1, 100) if f"{slug}-{n}" not in slugs), 0) if slug in slugs else 0
        slugs.add(f"{slug}-{number}" if number else slug)
    return slugs | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", markdown))


def _broken_links(file: Path) -> list[str]:
    markdown = file.read_text(encoding="utf-8")
    prose = _INLINE_CODE.sub("``", _FENCED.sub("", markdown))
    broken = []
    for link in _LINK.finditer(prose):
        target = unquote(link["target"] or link["reference"])
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        goal = (file.parent / path) if path else file
        if not goal.exists():
            broken.append(f"{file}: {target}: no such file")
        elif anchor and goal.suffix == ".md" and anchor not in _anchors(goal.read_text(encoding="utf-8")):
            broken.append(f"{file}: {target}: no such heading")
    return broken


def test_relative_links_lead_somewhere(project_files: list[Path]) -> None:
    """Every relative link names a file of the project, and every anchor a heading in it."""
    broken = [line for file in project_files if file.suffix == ".md" for line in _broken_links(file)]

    assert broken == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    """The check above can fail: a missing file and a missing heading are both found."""
    page = tmp_path / "page.md"
    page.write_text("# Here it is\n[a](#here-it-is) [b](#gone) [c](missing.md)\n```\n[d](code.md)\n```\n[e]: lost.md\n")

    assert [line.rpartition("page.md: ")[2] for line in _broken_links(page)] == [
        "#gone: no such heading",
        "missing.md: no such file",
        "lost.md: no such file",
    ]


@pytest.fixture
def changelog(project_root: Path) -> list[str]:
    """The lines of CHANGELOG.md."""
    return (project_root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()


def test_the_changelog_keeps_its_form(changelog: list[str]) -> None:
    """Keep a Changelog: a title, Unreleased first, then dated versions, and the six kinds of change."""
    sections = [line for line in changelog if line.startswith("## ")]
    kinds = [line.removeprefix("### ") for line in changelog if line.startswith("### ")]

    assert changelog[0] == "# Changelog"
    assert sections[0] == "## [Unreleased]"
    assert [line for line in sections[1:] if not _VERSION.match(line)] == []
    assert set(kinds) <= _KINDS


def test_the_changelog_goes_back_in_time(changelog: list[str]) -> None:
    """The newest version comes first, on a date that exists."""
    releases = [match for line in changelog if (match := _VERSION.match(line))]
    versions = [tuple(map(int, release["version"].split("."))) for release in releases]
    dates = [date.fromisoformat(release["date"]) for release in releases]

    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_the_changelog_does_not_lag_behind(changelog: list[str], project_root: Path) -> None:
    """The version in pyproject.toml has a section, or is the one still to be released."""
    version = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["version"]
    released = [match["version"] for line in changelog if (match := _VERSION.match(line))]

    assert not released or tuple(map(int, version.split("."))) >= tuple(map(int, released[0].split(".")))
