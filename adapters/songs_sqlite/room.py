"""Room on the disk for the log of writes, and for its index, which SQLite maps into memory.

SQLite reserves the index by writing one byte in each `PAGE_BYTES` of it, and maps it then. On a file system with
smaller blocks the index so begins with holes, and a process that writes into a hole while the disk is full is ended by
SIGBUS. Small ext4 file systems have such blocks (1 KiB below 512 MiB).
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096
SMALLEST_INDEX_BYTES: Final = 32_768


def may_be_mapped(log: str) -> bool:
    """Return whether an index can be made for a log of this path without danger."""
    try:
        found = os.statvfs(os.path.dirname(log))  # noqa: PTH120 - as the paths that SQLite takes, a text
    except OSError:
        return True
    if not found.f_blocks or found.f_frsize >= PAGE_BYTES:
        return True
    return found.f_bavail * found.f_frsize >= SMALLEST_INDEX_BYTES


def hole_bytes(index: os.stat_result) -> int:
    """Return how much of an index has no place on the disk, where that does harm."""
    return 0 if index.st_blksize >= PAGE_BYTES else max(0, index.st_size - 512 * index.st_blocks)


def fill_holes(index: str) -> bool:
    """Give an index that this process has open the room that it has not yet; return whether it has all."""
    try:
        found = os.stat(index)  # noqa: PTH116 - as above
        if hole_bytes(found):
            # By SQLite's own descriptor: closing another one would end the locks that this process has on the index.
            os.posix_fallocate(_descriptor(index), 0, found.st_size)
    except FileNotFoundError:
        return True  # there is no index, or the system lists no descriptors
    except OSError as error:
        return error.errno != errno.ENOSPC
    return True


def _descriptor(path: str) -> int:
    """Return the descriptor of an open file."""
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(each.readlink()) == path:
                return int(each.name)
    raise FileNotFoundError
