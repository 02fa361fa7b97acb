"""The files of a database: making them, and noticing when they are not the same any more.

Before SQLite sees a file it is made private, and refused when it is foreign: SQLite recovers and truncates journals,
and would take any empty file as its own.

SQLite looks at a name once. Whatever is moved, replaced or removed afterwards it goes on writing to what it has open,
and nobody will find that again: the database, the log with the newest commits, and the index by which all processes
agree on what is in the log. So the names are looked up before each unit and after each commit.
"""

import contextlib
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from songs.errors import StorageMismatch, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs_sqlite.connection import PAGE_BYTES, fill_holes, hole_bytes, may_be_mapped

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
            # Opening a pipe would wait for its writer.
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


T = TypeVar("T")
FileId = tuple[int, int]

_LOG_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_LOG_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_SALTS: Final = slice(16, 24)
"""Two numbers in the header that change whenever the log is begun again."""
_SHARED_FIRST: Final = 0x4000_0002
_SHARED_SIZE: Final = 510
"""The number of bytes of a database file that each connection in WAL mode keeps a shared lock on."""
_BEGINNING_S: Final = 1.0
"""How long another process may take from its lock to its log."""
_PAUSE_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class _Log:
    """A log at some moment.

    Attributes:
        salts: What changes when it is begun again; then it is written over from its beginning, and keeps its size.
        frame: The size of a frame.
        size: The size of the file.
        sound: Whether the last frame is one of those since it was begun.
    """

    salts: bytes
    frame: int
    size: int
    sound: bool

    def is_cut_off(self, fd: int) -> bool:
        """Return whether its last frame is gone, though it was not begun again."""
        # Looked at in this order: others may begin it again at any moment.
        return not _is_frame(fd, self.size - self.frame, self.salts) and _header(fd)[_SALTS] == self.salts


def _header(fd: int) -> bytes:
    return os.pread(fd, _LOG_HEADER_BYTES, 0)


def _look_at(fd: int) -> _Log | None:
    """Return the log as it is; None where it is empty.

    Raises:
        ValueError: It is no log.
    """
    header, size = _header(fd), os.fstat(fd).st_size
    if not header:
        return None
    if header[:4] not in _LOG_MAGIC:
        raise ValueError
    salts, frame = header[_SALTS], _FRAME_HEADER_BYTES + int.from_bytes(header[8:12])
    return _Log(salts, frame, size, sound=_is_frame(fd, size - frame, salts))


def _is_frame(fd: int, start: int, salts: bytes) -> bool:
    return start > 0 and os.pread(fd, 16, start)[8:] == salts


class Shortened(NamedTuple):
    """The sizes of a database file that was found shorter than it had been: see `OpenFiles.check_shorter`."""

    before: int
    now: int


class OpenFiles:
    """The database file at `path`, its log and the log's index.

    Args:
        path: The name under which the database is looked for; symbolic links are followed each time.

    Attributes:
        log_bytes: How large the log was when last looked at.
        hole_bytes: How much of its index had no place on the disk then.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._log = self._index = ""
        self._file: FileId | None = None
        self._file_bytes = 0
        self._beside: tuple[FileId, FileId] | None = None
        self._written: _Log | None = None
        self._spoilt = False
        self.log_bytes = self.hole_bytes = 0
        self.adopt()

    @property
    def are_there(self) -> bool:
        """Whether there was a database file when `adopt` looked."""
        return self._file is not None

    def adopt(self) -> None:
        """Take what is at the path, if anything, for the database."""
        try:
            self._file = _id(self._path)
        except OSError:
            self._file = None
            return
        # SQLite follows links, and puts the log beside the file itself.
        real = os.path.realpath(self._path)
        self._log, self._index = real + "-wal", real + "-shm"

    def check_database(self) -> Shortened | None:
        """Raise where the path no longer leads to the database that was adopted; say whether it is shorter now.

        Raises:
            StorageUnavailable: It was moved, removed or replaced, or there was none.
        """
        if self._file is None:
            raise StorageMismatch(f"{self._path} was not prepared; run `songs prepare`.")
        before = self._file_bytes  # Read before the look: by others' looks it grows meanwhile, as the file does.
        try:
            found = os.stat(self._path)  # noqa: PTH116 - half the time of Path.stat, before every unit
        except OSError:
            raise _lost("database file") from None
        if (found.st_dev, found.st_ino) != self._file:
            raise _lost("database file")
        if found.st_size < before:
            return Shortened(before, found.st_size)
        self._file_bytes = found.st_size
        return None

    def check_shorter(self, shortened: Shortened, database_bytes: int) -> None:
        """Raise where the file was cut off; return where SQLite shortened it, as the database itself is shorter now.

        Args:
            shortened: What the look found.
            database_bytes: How large SQLite believes the database to be, with what is in the log. If the file lost its
                end before the log was moved into it, pages in memory would hide that.
        """
        if database_bytes >= shortened.before:
            raise _lost("database file")
        # Not `database_bytes`: the file is that large only after a checkpoint. Nor what another look has set since.
        if self._file_bytes == shortened.before:
            self._file_bytes = shortened.now

    def check(self) -> tuple[bool, Shortened | None]:
        """Raise where any name leads elsewhere than to what is open: `check_database`, and the same for the log.

        Returns:
            Whether the log is empty to which this process has written, and what `check_database` returned.
        """
        shortened = self.check_database()
        if (beside := self._beside) is None:
            return False, shortened
        # Before the look: what is larger than it was then has only grown since.
        written = self._written
        try:
            log, index = os.stat(self._log), os.stat(self._index)  # noqa: PTH116 - as above
        except OSError:
            raise _lost("write-ahead log") from None
        if ((log.st_dev, log.st_ino), (index.st_dev, index.st_ino)) != beside:
            raise _lost("write-ahead log")
        self.log_bytes = log.st_size
        if index.st_blksize < PAGE_BYTES:
            self.hole_bytes = hole_bytes(index)
        emptied = False
        if written is not None and log.st_size < written.size:
            header = self._read(_header)
            emptied = len(header) < _LOG_HEADER_BYTES
            self._spoilt = self._spoilt or header[_SALTS] == written.salts
        if self._spoilt:
            raise _lost("write-ahead log")
        return emptied, shortened

    def has_room(self) -> bool:
        """Return whether the log's file system has as much room as the log takes, as far as it says; and the index."""
        if self.hole_bytes and not self.reserve_index():
            return False
        if not self.log_bytes:
            return True
        try:
            found = os.statvfs(self._log)
        except OSError:
            return True
        return not found.f_blocks or found.f_bavail * found.f_frsize >= self.log_bytes

    def reserve_index(self) -> bool:
        """Give the index the room that it has not yet; return whether it has all. To be called while it is open."""
        return fill_holes(self._index)

    def check_emptied(self, *, has_frames: bool) -> None:
        """Raise where SQLite believes to have something in the log that `check` found empty, and it still is.

        Raises:
            StorageUnavailable: It was not SQLite that emptied it.
        """
        try:
            lost = has_frames and self._read(_look_at) is None
        except ValueError:
            lost = True
        if lost:
            self._spoilt = True
            raise _lost("write-ahead log")
        self._written = None

    def check_written(self) -> Shortened | None:
        """Raise where a commit is not where the names lead to, or the log is no log; else as `check_database`."""
        _, shortened = self.check()
        if self._beside is None:
            return shortened
        written = None
        try:
            written, is_cut_off = self._read(self._compared)
            self._spoilt = self._spoilt or is_cut_off
        except ValueError:
            self._spoilt = True
        if self._spoilt:
            raise _lost("write-ahead log")
        # None: another process has moved it into the file since.
        if written is not None:
            self._written, self.log_bytes = written, written.size
        return shortened

    def _compared(self, fd: int) -> tuple[_Log | None, bool]:
        """Return the log as it is, and whether what was written before was cut off."""
        before, written = self._written, _look_at(fd)
        if before is None or written is None or not before.sound or before.salts != written.salts:
            return written, False
        # Cut off, it is written to where it ended before, behind a hole: which is all zeros, and no frame.
        return written, before.is_cut_off(fd)

    def note_log(self) -> None:
        """Remember which log a connection has open that was just made, or which one another has; raise if it is not.

        Raises:
            StorageUnavailable: Another connection of this process has another log open.
        """
        if self._beside is not None:
            self.check()
            return
        try:
            self._beside = _id(self._log), _id(self._index)
        except OSError:
            self._beside = None  # not prepared yet: without a log

    def forget_log(self) -> None:
        """Forget it, since no connection has one open any more: the last one to close it removes it."""
        self._beside = self._written = None
        self._spoilt = False

    def refuse_lost_log(self, clock: Clock) -> None:
        """Raise where other processes have the database open and its log is gone: to be called before any connection.

        A new log would be beside theirs, with what they acknowledged in neither. Not to be called while this process
        has the database open: its locks would end with the look.

        Raises:
            StorageUnavailable: That is so.
        """
        patience = Deadline.after(clock, _BEGINNING_S)
        while not (os.path.exists(self._log) and os.path.exists(self._index)):  # noqa: PTH110 - as above
            if not self._is_open_elsewhere():
                return
            if patience.remaining_s() <= 0.0:
                raise _lost("write-ahead log")
            clock.sleep(_PAUSE_S)

    def refuse_index_without_room(self) -> None:
        """Raise where making the index anew may end this process: to be called as `refuse_lost_log`, after it.

        Raises:
            StorageUnavailable: That is so.
        """
        # What another process has open is not made anew.
        if not may_be_mapped(self._log) and not self._is_open_elsewhere():
            raise StorageUnavailable("The disk is too full to open the database. Free some space.")

    def _is_open_elsewhere(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # A lock that shares nothing is another matter: who has that needs no index, and will be waited for.
            return not _may_lock(fd, fcntl.LOCK_EX) and _may_lock(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def _read(self, read: Callable[[int], T]) -> T:
        try:
            fd = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            raise _lost("write-ahead log") from None
        try:
            return read(fd)
        finally:
            os.close(fd)


def _may_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.lockf(fd, kind | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except OSError:
        return False
    return True


def _id(path: str) -> FileId:
    found = os.stat(path)  # noqa: PTH116 - as above
    return found.st_dev, found.st_ino


def _lost(what: str) -> StorageUnavailable:
    return StorageUnavailable(f"The {what} was removed or replaced while it was open; bring it back, or start again.")
