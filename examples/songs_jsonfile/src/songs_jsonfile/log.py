"""The file: read once, then appended to, and now and then written anew."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from songs.errors import OutcomeUnknown, StorageMismatch, StorageUnavailable
from songs_jsonfile.lines import identifying, replay
from songs_plugins.files import Disk, hold, replace_file
from songs_plugins.smallest import SmallestTables
from songs_plugins.values import UNREADABLE

VERSION: Final = 1
HEADER: Final = b'{"format":"songs_jsonfile","version":%d}\n' % VERSION
_NEWER_HEADER: Final = re.compile(rb'\{"format":"songs_jsonfile","version":(\d{1,9})[,}].*\n')
_LONGEST_HEADER: Final = 200
_PIECE_BYTES: Final = 1_048_576

Mark = tuple[int, ...]
"""What the system says of a file that nobody has changed as long as it says the same."""


class Log:
    """The log at `path`, read and locked. One thread of one process uses it at a time.

    The file is never half there: it begins as a whole new file that was renamed to its name, and from then on only
    complete lines are acknowledged. What a crash leaves of a line is cut off when the file is read.

    Nobody else writes to it. So its size and times stay as they are from one write to the next; where they have
    changed, its bytes are compared with a digest of those that were read and written.

    Attributes:
        path: The file; symbolic links are followed, so that nobody gets past the lock under another name.
        process: The process that opened it.
        tables: What was in it when it was read.
        identity: What tells these data from others; empty where the file does not say it.
        changes: How many lines are in it.
        sound: Whether there is a file, and it may be appended to.

    Raises:
        StorageInUse: Another process has the file, or another object of this one.
        StorageMismatch: It is not our file, of a newer version, or damaged. It is left as it is.
        StorageUnavailable: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = Path(os.path.realpath(path))
        self.process: Final = os.getpid()
        self.tables = SmallestTables()
        self.identity = ""
        self.changes = 0
        self.sound = False
        self._fd = -1
        self._end = 0
        self._digest = hashlib.blake2b()
        self._known: Mark = ()
        self._foreign: Mark = ()
        self._lock_fd = hold(self.path.with_name(self.path.name + ".lock"))
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes) -> None:
        """Add a line; when this returns, it is on the disk.

        Raises:
            StorageUnavailable: There is no room for it, or an earlier error closed the log. Nothing was kept.
            OutcomeUnknown: It was written and could not be synced. The log takes no more lines until `rewrite`.
        """
        if not self.sound:
            raise StorageUnavailable("The file was not prepared, or a write failed before. Nothing was changed.")
        # Nothing may follow a line of which it is not known whether it is there, whatever interrupts this.
        self.sound = False
        try:
            Disk.write(self._fd, line)
        except OSError as error:
            self.sound = self._cut()
            raise StorageUnavailable(f"The file cannot grow: {error.strerror}. Nothing was changed.") from error
        try:
            Disk.sync(self._fd)
        except OSError as error:
            # Another fsync would succeed without having written anything, so the line must not stay readable.
            self._cut()
            raise OutcomeUnknown(f"The file could not be synced: {error.strerror}.") from error
        if not self._leads_here(self._end + len(line)):
            # It is in a file that nobody may find; if that one comes back, this line must not be in it unseen.
            self._cut()
            raise OutcomeUnknown(self._lost().detail)
        self._end += len(line)
        self._digest.update(line)
        self._known = _mark(os.fstat(self._fd))
        self.changes += 1
        self.sound = True

    def check_place(self) -> None:
        """Raise if the path no longer leads to what is open, whole: nobody would find what is written to it.

        Raises:
            StorageUnavailable: It was moved, removed, replaced, cut off or written over.
        """
        if self._fd == -1:
            return
        try:
            found = _mark(self.path.stat())
            if found == self._known:
                return
            # What could not be taken away of a line that failed is left until the file is written anew.
            size = self._end if self.sound else max(found[2], self._end)
            there = found != self._foreign and self._leads_here(size) and self._has_our_bytes()
        except OSError:
            raise self._lost() from None
        if not there:
            self._foreign = found
            raise self._lost()
        self._known = found

    def rewrite(self, lines: Iterable[bytes], *, identity: str) -> None:
        """Put a new file with this identity and these lines in the place of the old one, or where there was none.

        Raises:
            StorageUnavailable: That failed. Where the new file may be in place already, the log takes no more lines.
        """
        digest, count = hashlib.blake2b(), 0

        def noted() -> Iterator[bytes]:
            nonlocal count
            for count, piece in enumerate(chain([HEADER, identifying(identity)], lines)):  # noqa: B007 - counts
                digest.update(piece)
                yield piece

        try:
            replace_file(self.path, noted())
            self._close_file()
            self._open()
        except OSError as error:
            if not self._leads_here():
                self._close_file()
            raise StorageUnavailable(f"{self.path} cannot be written: {error.strerror}.") from error
        self.identity, self._digest, self._end = identity, digest, self._known[2]
        self.changes, self.sound = count, True

    def close(self) -> None:
        """Let go of the file, and of the lock."""
        self._close_file()
        os.close(self._lock_fd)

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                self._end = self._check_header(file.readline(_LONGEST_HEADER))
                for number, line in enumerate(file, start=2):
                    if not line.endswith(b"\n"):
                        break  # the write that a crash cut short; nobody was told that it succeeded
                    self._replay(line, number)
            if self._end:
                os.truncate(self.path, self._end)
                self._open()
                # A killed process leaves lines that it had not synced yet: they must be before anyone reads them.
                os.fsync(self._fd)
                self.sound = True
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageUnavailable(f"{self.path} cannot be read: {error.strerror}.") from error

    def _check_header(self, line: bytes) -> int:
        if line in {b"", HEADER}:
            self._digest.update(line)
            return len(line)
        newer = _NEWER_HEADER.fullmatch(line)
        if newer is None:
            raise StorageMismatch(f"{self.path} is not a log of songs_jsonfile. It was left as it is; choose another.")
        raise StorageMismatch(
            f"{self.path} has version {newer[1].decode()}, and this release of songs_jsonfile knows only {VERSION}. "
            "It was left as it is; install the newer release again."
        )

    def _replay(self, line: bytes, number: int) -> None:
        try:
            self.identity = replay(line, self.tables) or self.identity
        except UNREADABLE as error:
            raise StorageMismatch(
                f"{self.path} is damaged: line {number}, which begins at byte {self._end}, cannot be used ({error}). "
                "It was left as it is; restore a backup, or cut it there: what follows is lost then."
            ) from error
        self._end += len(line)
        self._digest.update(line)
        self.changes += 1

    def _leads_here(self, size: int | None = None) -> bool:
        """Return whether the path leads to the file that is open, and that has this size, if any is given."""
        try:
            found, opened = self.path.stat(), os.fstat(self._fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino) and size in {None, opened.st_size}

    def _has_our_bytes(self) -> bool:
        digest, at = hashlib.blake2b(), 0
        while at < self._end and (piece := os.pread(self._fd, min(_PIECE_BYTES, self._end - at), at)):
            digest.update(piece)
            at += len(piece)
        return digest.digest() == self._digest.digest()

    def _lost(self) -> StorageUnavailable:
        found = "was removed, replaced, cut off or written over while it was open"
        return StorageUnavailable(f"{self.path} {found}; bring it back, or start again.")

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._known = _mark(os.fstat(self._fd))

    def _close_file(self) -> None:
        self.sound = False
        fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)

    def _cut(self) -> bool:
        """Take away what was written of the last line; return whether that worked."""
        try:
            os.ftruncate(self._fd, self._end)
        except OSError:
            return False
        return True


def _mark(found: os.stat_result) -> Mark:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
