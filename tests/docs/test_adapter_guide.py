"""The guide to writing an adapter says what the code says."""

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from songs_contract.law import CHAPTERS, clauses
from songs_contract.plugin import pytest_addoption
from songs_plugins import API_VERSION, AdapterContext, AdapterSpec
from songs_plugins.spec import songs_adapters


@pytest.fixture(scope="module")
def guide(project_root: Path) -> str:
    """The guide."""
    return (project_root / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")


def test_the_hook(guide: str) -> None:
    """The hook stands there with its name and its whole signature."""
    signature = inspect.signature(songs_adapters)
    returns = str(signature.return_annotation).replace("collections.abc.", "").replace("songs_plugins.spec.", "")

    assert [*signature.parameters] == []
    assert f"def songs_adapters() -> {returns}:" in guide


def test_the_descriptor(guide: str) -> None:
    """The table has each field of AdapterSpec, in order, and no other."""
    table = guide.partition("An `AdapterSpec` says:")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)

    assert told == [field.name for field in dataclasses.fields(AdapterSpec)]
    for field in dataclasses.fields(AdapterContext):
        assert f"`{field.name}`" in table


def test_the_chapters(guide: str) -> None:
    """The chapters that failures name are there, in the order in which the kit tests."""
    headings = re.findall(r"^## (.+)$", guide, re.MULTILINE)

    assert [heading for heading in headings if heading in CHAPTERS] == list(CHAPTERS)


def test_the_clauses(guide: str) -> None:
    """Each clause that it names exists."""
    assert set(re.findall(r"\b[A-Z]{3,5}-\d+\b", guide)) <= clauses().keys()


def test_the_version(guide: str) -> None:
    """The version that it tells is the one that the registry asks for."""
    assert f"`api_version` on an `AdapterSpec` is {API_VERSION}," in guide


def test_the_options_of_the_plugin(guide: str) -> None:
    """Options of pytest that it names are the plugin's."""
    declared = set(re.findall(r'"(--songs-[a-z-]+)"', inspect.getsource(pytest_addoption)))

    assert set(re.findall(r"--songs-[a-z-]+", guide)) <= declared
