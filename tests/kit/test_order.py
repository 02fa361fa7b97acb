"""The kit turns green chapter by chapter: what is written so far is enough for the tests of the chapters so far."""

import json
from pathlib import Path

import pytest
from tests.kit.forked_runs import PLUGIN, Runner

from songs_contract.law import CHAPTERS, chapter_of, clauses, place_of


@pytest.mark.timeout(300)
@pytest.mark.parametrize("chapter", [1, 2, 3, 4])
def test_chapters_are_enough(runner: Runner, tmp_path: Path, chapter: int) -> None:
    """No test of a chapter needs what a later one says how to write; all tests of later ones come after them."""
    wanted = [each for each in clauses() if place_of(chapter_of([each])) < chapter]
    options = [option for each in wanted for option in ("--songs-clause", each)]
    target = ["--songs-adapter", f"known_bad.unfinished:chapter_{chapter}", "--songs-report-json", "report.json"]
    runner.pytest(tmp_path, *PLUGIN, "-p", "unshrunk", "--pyargs", "songs_contract.suites", *target, *options)
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    so_far = list(CHAPTERS)[:chapter]
    passed = [each for each in document["clauses"] if each["id"] in wanted and each["passed_tests"]]

    assert [each["test"] for each in document["failures"] if each["chapter"] in so_far] == []
    assert passed
