"""The default number of worker processes."""

import os
from collections.abc import Callable

import pytest

from songs_api.settings import Settings
from songs_api.settings.service import cores_to_pin

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
    assert settings(texts, generate_secrets=True).service.deployment.workers == workers


@pytest.mark.usefixtures("five_cores")
@pytest.mark.parametrize(
    ("pin", "workers", "bound"),
    [("auto", 5, True), ("auto", 6, True), ("auto", 4, False), ("auto", 1, False), ("yes", 1, True), ("no", 5, False)],
)
def test_workers_that_take_all_cores_get_one_each(pin: str, workers: int, bound: bool) -> None:
    """With fewer of them the kernel finds idle cores better."""
    assert cores_to_pin(pin, workers) == ((0, 1, 2, 3, 4) if bound else ())
