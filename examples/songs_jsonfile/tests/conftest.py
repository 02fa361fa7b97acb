"""A storage in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from songs_jsonfile.storage import JsonFileStorage
from storage_user import User


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """An open storage in a file of its own, with one song."""
    path = tmp_path / "songs.jsonl"
    user = User(path, JsonFileStorage(path))
    user.open()
    user.add(1)
    yield user
    user.storage.close()
