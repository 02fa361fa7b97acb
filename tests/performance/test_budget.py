"""The hot path keeps to its budget of work, which does not wobble as times do."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from songs.caching.queries import CachedQuery

from .counting import TOLERANCE, excess, work

BUDGET = Path(__file__).with_name("budget.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
RENEW = "SONGS_TEST_RENEW_BUDGET"
REQUESTS = ("cached statistics", "cached song", "cached list", "rating")

HotPath = dict[str, Callable[[], None]]


def _budget() -> dict[str, dict[str, int]]:
    budgets = json.loads(BUDGET.read_text())
    if VERSION not in budgets:
        pytest.skip(f"no budget for Python {VERSION}, whose instructions differ; set {RENEW}=1 to write one")
    return dict(budgets[VERSION])


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_keeps_to_its_budget(name: str, hot_path: HotPath) -> None:
    """A request takes at most a tenth more work than budgeted. Set SONGS_TEST_RENEW_BUDGET=1 to write a new budget."""
    hot_path[name]()
    measured = work(hot_path[name])
    if os.environ.get(RENEW):
        budgets = json.loads(BUDGET.read_text())
        budgets.setdefault(VERSION, {})[name] = measured
        BUDGET.write_text(json.dumps(budgets, indent=2) + "\n")

    assert excess(measured, _budget()[name]) == []


def test_a_tenth_more_work_is_noticed(hot_path: HotPath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that adds a little more than a tenth to the instructions of the cached read exceeds its budget."""
    request = hot_path["cached statistics"]
    request()
    measured = work(request)
    original = CachedQuery.__call__

    def slower(*arguments: object, **named: object) -> bytes:
        for _ in range(int(measured["instructions"] * TOLERANCE)):
            pass
        return original(*arguments, **named)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(CachedQuery, "__call__", slower)

    assert excess(work(request), measured) != []


def test_work_is_the_same_each_time(hot_path: HotPath) -> None:
    """Two measurements agree to within a hundredth: the gate turns red for changes, and for nothing else."""
    request = hot_path["cached statistics"]
    request()
    first, second = work(request), work(request)

    assert all(abs(first[name] - second[name]) <= 0.01 * first[name] for name in first)
