"""How many processes serve where nobody says so."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from songs_api.settings import Settings
from songs_api.settings.processes import MOST, cores_to_pin, usable_cores

Resolve = Callable[..., Settings]

SHARED = {"SONGS_STORAGE": "acme", "SONGS_LIMITER": "none"}


@pytest.fixture
def five_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on five cores, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)), raising=False)


@pytest.mark.usefixtures("five_cores")
@pytest.mark.parametrize(
    ("texts", "workers"),
    [
        (SHARED, 5),
        ({**SHARED, "SONGS_WORKERS": "3"}, 3),
        ({**SHARED, "SONGS_STORAGE": "memory"}, 1),
        ({**SHARED, "SONGS_CACHE": "memory"}, 1),
        ({**SHARED, "SONGS_LIMITER": "memory"}, 1),
        ({**SHARED, "SONGS_JWT_SECRET": ""}, 1),
    ],
)
def test_each_core_gets_a_process_where_all_is_shared(settings: Resolve, texts: dict[str, str], workers: int) -> None:
    """A storage, cache, limiter or secret of one process alone makes it one; a setting comes before all that."""
    assert settings(texts, generate_secrets=True).service.workers == workers


@pytest.mark.usefixtures("five_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000\n", 5), ("150000 100000\n", 2), ("50000 100000\n", 1), ("900000 100000\n", 5), ("", 5), ("1 0", 5)],
)
def test_a_container_has_no_more_cores_than_its_quota(tmp_path: Path, quota: str, cores: int) -> None:
    """Parts of a core count as one; a quota that cannot be read counts as none."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)

    assert usable_cores(file) == cores
    assert usable_cores(tmp_path / "missing") == 5


def test_a_very_large_machine_has_as_many_as_may_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is picked is never refused afterwards."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(1000)), raising=False)

    assert usable_cores(tmp_path / "missing") == MOST


@pytest.mark.usefixtures("five_cores")
@pytest.mark.parametrize(
    ("pin", "workers", "bound"),
    [("auto", 5, True), ("auto", 6, True), ("auto", 4, False), ("auto", 1, False), ("yes", 1, True), ("no", 5, False)],
)
def test_workers_that_take_all_cores_get_one_each(pin: str, workers: int, bound: bool) -> None:
    """With fewer of them the kernel finds idle cores better."""
    assert cores_to_pin(pin, workers) == ((0, 1, 2, 3, 4) if bound else ())
