"""Files of a storage: held by one process, and replaced as a whole."""

import errno
import os
from pathlib import Path
from typing import Literal

import pytest

from songs.errors import StorageInUse, StorageUnavailable
from songs_plugins import failing
from songs_plugins.files import Disk, hold, replace_file

RENAME = 2


def _broken(_when: object) -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The new one has the pieces, is readable by its owner alone, and nothing else is left in the folder."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = path.stat()

    replace_file(path, (piece for piece in (b"a", b"b")))

    assert path.read_bytes() == b"ab"
    assert path.stat().st_ino != before.st_ino
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", [1, RENAME, 3], ids=["sync", "rename", "sync of the folder"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_fails(tmp_path: Path, call: int, when: Literal["before", "after"]) -> None:
    """It leaves the old file until the rename, the new one from then on, and nothing beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    with failing(Disk, "sync", "rename", error=_broken) as injector:
        injector.fail_at(call, when=when)
        with pytest.raises(OSError, match="Input/output error"):
            replace_file(path, [b"new"])

    assert path.read_bytes() == (b"new" if call > RENAME or (call, when) == (RENAME, "after") else b"old")
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    """A second one is refused meanwhile, and the file stays."""
    path = tmp_path / "lock"
    held = hold(path)
    with pytest.raises(StorageInUse, match="Another process holds"):
        hold(path)

    os.close(held)

    os.close(hold(path))
    assert path.exists()


def test_a_lock_in_no_folder(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StorageUnavailable, match="nowhere/lock cannot be made or locked"):
        hold(tmp_path / "nowhere" / "lock")


def test_a_write_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the beginning is written, the error is that of a full disk."""
    monkeypatch.setattr(os, "write", lambda _fd, content: len(content) - 1)

    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        Disk.write(file.fileno(), b"content")
