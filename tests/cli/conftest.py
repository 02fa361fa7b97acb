"""The command line in this process, over a storage that lasts as long as the test."""

import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.submitted import Submitted

from songs_api.cli import run

# A stranger's storage in a distribution of its own. What is in memory outlives each command, as if it were on a disk.
KEEPER = """
from songs.ports.storage import StorageCapabilities
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterSpec, Port, hookimpl

CAPABILITIES = StorageCapabilities(durable=True, shared=True, transactions=True, snapshot_reads=True)


class Keeper(MemoryStorage):
    capabilities = CAPABILITIES

    def close(self):
        pass


KEPT = Keeper()


@hookimpl
def songs_adapters():
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="keeper",
            summary="keeps",
            factory=lambda settings, context: KEPT,
            capabilities=CAPABILITIES,
        )
    ]
"""


@dataclass(frozen=True)
class Ran:
    """What a command came to; its lines of the audit trail are not in `err` but in `audit`."""

    status: int
    out: str
    err: str
    audit: list[dict[str, Any]]

    @classmethod
    def of(cls, status: int, out: str, err: str) -> "Ran":
        """Return what came of a command that tells in JSON."""
        lines = err.splitlines(keepends=True)
        told = [line for line in lines if line.startswith('{"timestamp"')]
        return cls(
            status, out, "".join(line for line in lines if line not in told), [json.loads(line) for line in told]
        )


Songs = Callable[..., Ran]


def install(folder: Path, name: str, source: str, *, version: str = "1.0") -> None:
    """Put a distribution `name`-songs into `folder`: a module and the metadata that pip would have written."""
    (folder / f"{name}_songs.py").write_text(source)
    metadata = folder / f"{name}_songs-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-songs\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[songs.adapters]\n{name} = {name}_songs\n")


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed distributions with the keeper in it."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "keeper", KEEPER)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "keeper_songs", raising=False)
    return folder


@pytest.fixture
def distribution(site: Path) -> Callable[[str, str], None]:
    """Install another distribution: its adapter's name, and its module's source."""
    return lambda name, source: install(site, name, source)


@pytest.fixture
def songs(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Songs:
    """Run a command in an empty folder, with the keeper as storage. Whatever it prints repeats no secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SONGS_STORAGE", "keeper")
    monkeypatch.setenv("SONGS_BCRYPT_ROUNDS", "4")
    monkeypatch.setenv("SONGS_LOG_FORMAT", "json")

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        submitted = Submitted()
        submitted.note_variables(os.environ)
        if isinstance(sys.stdin, io.StringIO):
            submitted.note(sys.stdin.getvalue().splitlines(), secret=True)
        status = run(arguments)
        out, err = capfd.readouterr()
        assert submitted.found_in(out + err) == []
        return Ran.of(status, out, err)

    return call
