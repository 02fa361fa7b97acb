"""What adapters use of the core and what has changed: the former names and forms work for one release, and warn."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import songs_plugins

MOVED = {"songs.deadline": ("songs.ports.clock", "Deadline"), "songs.meter": ("songs.ports.meter", "Meter")}
ADAPTER = """
from datetime import date
import songs.deadline
import songs.meter
import songs.ports.together
from songs.model import Song
from songs_plugins import AdapterSpec, JoinedFaultInjector, Port, hookimpl
from songs_system.system import TimeOrderedIds

class Ids(TimeOrderedIds):
    def new_id(self):
        song_id = super().new_id()
        return Song(id=song_id, artist="A", title="T", difficulty_milli=1, level=1, released=date(2000, 1, 1)).id

@hookimpl
def songs_adapters():
    return [AdapterSpec(port=Port.IDS, name="former", summary="ids", factory=lambda _, context: Ids(context.clock))]
"""


@pytest.mark.parametrize("former", MOVED)
def test_a_former_name_warns_and_is_the_same(former: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning says where to import from."""
    module, name = MOVED[former]
    monkeypatch.delitem(sys.modules, former, raising=False)

    with pytest.warns(DeprecationWarning, match=f"{former} has moved: import from {module}"):
        moved = importlib.import_module(former)

    assert getattr(moved, name) is getattr(importlib.import_module(module), name)


def test_the_former_ports_of_a_counting_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there, and the warning says what replaces them."""
    monkeypatch.delitem(sys.modules, "songs.ports.together", raising=False)

    with pytest.warns(DeprecationWarning, match="is replaced: offer a songs.ports.cache.CountingCache"):
        former = importlib.import_module("songs.ports.together")

    assert callable(former.Together.hit_and_get)
    assert callable(former.JoinsLimiter.together_with)


def test_the_former_name_of_a_fault_injector() -> None:
    """It warns, and is the same."""
    with pytest.warns(DeprecationWarning, match="JoinedFaultInjector is now CountingFaultInjector"):
        assert songs_plugins.JoinedFaultInjector is songs_plugins.CountingFaultInjector
    assert not hasattr(songs_plugins, "another name")


def test_the_kit_takes_an_adapter_that_uses_former_names_and_forms(tmp_path: Path) -> None:
    """For the kit warnings are errors; these are not."""
    (tmp_path / "former.py").write_text(ADAPTER)

    command = (sys.executable, "-m", "songs_api", "contract", "former:songs_adapters")
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
