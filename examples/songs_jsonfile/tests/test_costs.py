"""What each operation costs: syncs of the file."""

import os
import tomllib
from pathlib import Path

import pytest
from storage_user import User

from songs.ports.storage import Scope
from songs_contract.models.samples import FILLING, READS, WRITES

# docs/contract.md of Songs API tells them.
COSTS: dict[str, int] = tomllib.loads(Path(__file__).with_name("costs.toml").read_text())["jsonfile"]


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_syncs(name: str, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is one line, synced once; a read, and a repeat that changes nothing, touch no file."""
    for work in FILLING:
        user.run(Scope.WRITE_ONE, work)
    synced: list[int] = []
    sync = os.fsync

    def noted(fd: int) -> None:
        synced.append(fd)
        sync(fd)

    monkeypatch.setattr(os, "fsync", noted)

    if name in READS:
        user.run(Scope.READ, READS[name])
    else:
        user.run(Scope.WRITE_ONE, WRITES[name])

    assert len(synced) == COSTS[name]
