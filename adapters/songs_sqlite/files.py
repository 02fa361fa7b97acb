"""The database file before SQLite sees it: made private, and refused when it is somebody else's.

SQLite itself would touch a foreign file: it recovers and truncates journals, and would take any empty file as its own.
"""

import contextlib
import os
import stat
import struct
from pathlib import Path
from typing import Final

from songs.errors import StorageMismatch, StorageUnavailable

APPLICATION_ID: Final = 0x534F4E47
"""Marks our files, at offset 68 of the header: "SONG"."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100


def make_private(path: Path) -> None:
    """Make the file and its folder where they are missing, for this user alone: the file will hold password hashes.

    Raises:
        StorageUnavailable: That is not possible.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StorageUnavailable(f"The database file {path} cannot be made: {error.strerror}.") from error


def check_header(path: Path, newest: int) -> None:
    """Return if the file is missing, new or ours, of schema version `newest` at most.

    Raises:
        StorageMismatch: It is another program's, or of a newer version of this one.
        StorageUnavailable: It cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise StorageUnavailable(f"{path} is a folder; choose the path of a file.")
        if not stat.S_ISREG(mode):
            # Opening a pipe would wait for whoever writes to it.
            raise StorageUnavailable(f"The database file {path} is not a regular file; choose another path.")
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        blocking = next(each for each in reversed(path.parents) if not each.is_dir())
        msg = f"{path} cannot be made, as {blocking} is a file and no folder; choose another path."
        raise StorageUnavailable(msg) from error
    except OSError as error:
        raise StorageUnavailable(f"The database file {path} cannot be read: {error.strerror}.") from error
    if not header:
        return
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise StorageMismatch(f"{path} is not an SQLite database. It was left as it is; choose another path.")
    schema_changes, user_version, application_id = (
        struct.unpack_from(">I", header, offset)[0] for offset in (40, 60, 68)
    )
    # The id is the first thing that is ever written to a file of ours, so a schema without it is not ours.
    if application_id != APPLICATION_ID and (application_id or schema_changes or user_version):
        raise StorageMismatch(f"{path} belongs to another program. It was left as it is; choose another path.")
    refuse_newer(path, user_version, newest)


def refuse_newer(path: Path, version: int, newest: int) -> None:
    """Raise `StorageMismatch` if the schema of the file is newer than `newest`."""
    if version > newest:
        raise StorageMismatch(
            f"{path} has schema version {version}, and this program knows versions up to {newest}. "
            "It was left as it is; install the newer release again."
        )
