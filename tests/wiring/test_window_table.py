"""When the processes of a service get a table of what they remember of limits, and what becomes of one that is gone."""

import os

import pytest

from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import WINDOW_TABLE
from songs_api.servers.options import window_table
from songs_api.settings import Settings, Variables, resolve
from songs_api.shared_windows import WindowTable
from songs_plugins.registry import Registry


def _settings(limiter: str) -> Settings:
    texts = {"SONGS_STORAGE": "memory", "SONGS_LIMITER": limiter, "SONGS_JWT_SECRET": 40 * "x"}
    return resolve(Variables().replacing(texts), Registry())


@pytest.mark.parametrize(
    ("limiter", "workers", "shared"), [("redis", 2, True), ("redis", 1, False), ("memory", 2, False)]
)
def test_only_several_processes_with_a_shared_limiter_have_one(limiter: str, workers: int, *, shared: bool) -> None:
    """While the block lasts; a worker opens what the main process made, and leaves no trace in its environment."""
    settings = _settings(limiter)
    with window_table(settings, workers):
        assert (WINDOW_TABLE in os.environ) is shared
        found = Container(settings=settings).window_table()
        assert (found is not None) is shared
        if found is not None:
            found.close()
        assert WINDOW_TABLE not in os.environ
    assert WINDOW_TABLE not in os.environ


def test_a_table_that_is_gone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The worker says so and serves without it."""
    table = WindowTable.create()
    path = table.path
    table.close()
    monkeypatch.setenv(WINDOW_TABLE, path)

    assert Container(settings=_settings("redis")).window_table() is None
    assert "goes on alone" in caplog.text


def test_a_system_without_such_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The main process says so and serves without it."""
    monkeypatch.delattr(os, "memfd_create")

    with window_table(_settings("redis"), 2):
        assert WINDOW_TABLE not in os.environ
    assert "each process remembers by itself" in capsys.readouterr().err
