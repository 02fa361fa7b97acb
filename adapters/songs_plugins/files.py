"""Files of a storage: held by one process, and replaced as a whole."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from songs.errors import StorageInUse, StorageUnavailable


class Disk:
    """The calls of the system on which it depends what is kept.

    They are methods so that `songs_plugins.failing(Disk, "write", "sync", "rename", error=...)` can make them fail.
    """

    @staticmethod
    def write(fd: int, content: bytes) -> None:
        """Write all of `content`; raise OSError where there is no room for it; a part may be written then."""
        # On a full disk, or at a limit of the file's size, the beginning is written and that is no error.
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @staticmethod
    def sync(fd: int) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(fd)

    @staticmethod
    def rename(new: Path, path: Path) -> None:
        """Put a file in the place of another."""
        new.replace(path)


def hold(path: Path) -> int:
    """Lock a file of its own; return a descriptor that holds the lock until it is closed, or the process dies.

    The file stays: what is locked must not be replaced or removed.

    Raises:
        StorageInUse: Another process holds it, or another descriptor of this one (STO-12).
        StorageUnavailable: The file cannot be made or locked.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
    except BlockingIOError as error:
        raise StorageInUse(f"Another process holds {path}, and one at a time is served. Stop it first.") from error
    except OSError as error:
        raise StorageUnavailable(f"The lock file {path} cannot be made or locked: {error.strerror}.") from error
    return fd


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Put a file of these pieces in the place of `path`, or where there was none, readable by this user alone.

    Killed at any moment, it leaves the old file or the new one, whole, and perhaps ``PATH.new`` beside it. When it
    returns, the new file is on the disk; when it raises OSError, it is the old one or the new one.
    """
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb", opener=_private) as file:
            file.writelines(pieces)
            file.flush()
            Disk.sync(file.fileno())
        Disk.rename(new, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            Disk.sync(folder)
        finally:
            os.close(folder)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)  # it may hold password hashes
