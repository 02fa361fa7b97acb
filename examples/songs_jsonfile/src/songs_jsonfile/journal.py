"""The open storage: the file, the data read from it, and the lock that keeps other processes out."""

import contextlib
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from songs.errors import StorageClosed, StorageInUse, StorageUnavailable
from songs.ports.clock import Deadline
from songs_jsonfile.changes import Change, Identity, Put
from songs_jsonfile.log import Log
from songs_jsonfile.state import State

SLACK: Final = 1000
"""How many changes the file may hold beyond twice the number of rows before it is written anew."""

SHORTENED_AT_ONCE: Final = 20_000
"""With how many rows the file is written anew within a request, where it may not grow: a part of a second."""
_logger: Final = logging.getLogger("songs_jsonfile")


class Journal:
    """The data of one file, from opening to closing. Thread-safe: one lock for everything, also for reading.

    Args:
        path: The file; symbolic links are followed, so that nobody gets past the lock under another name.

    Raises:
        StorageInUse: Another process has the file, or another object of this one.
        StorageUnavailable: The file cannot be read.
        StorageMismatch: It is not ours, newer, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))
        self._turn = threading.Lock()
        self._state = State()
        self._log = Log(self._path)
        self._pid = os.getpid()
        self._closed = False
        self._prepared = False
        self._lock_fd = _lock(self._path)
        try:
            self._log.read(self._state.apply)
            self._prepared = self._log.sound
        except BaseException:
            self.close()
            raise

    @contextmanager
    def turn(self, deadline: Deadline | None = None) -> Iterator[State]:
        """Lend out the data until the block ends, to this thread alone.

        Raises:
            DeadlineExceeded: It was too late from the start.
            StorageUnavailable: The turn did not come before the deadline.
            StorageClosed: It was closed, or opened before this process was forked.
        """
        if os.getpid() != self._pid:
            raise StorageClosed("The storage was opened before this process was forked; open it in each process.")
        if deadline is not None:
            deadline.check()
        if not self._turn.acquire(timeout=-1 if deadline is None else deadline.remaining_s()):
            raise StorageUnavailable("Others used the storage until the deadline; nothing was changed. Try again.")
        try:
            if self._closed:
                raise StorageClosed
            self._log.check_place()
            yield self._state
        finally:
            self._turn.release()

    def record(self, change: Change) -> None:
        """Write a change, then make it in memory, where others see it. Only within `turn`.

        After a sync that failed, the file is first written anew from what is in memory: pages that the kernel could not
        write may count as written the next time.

        Raises:
            StorageUnavailable: It could not be written; nothing was kept.
            OutcomeUnknown: It may have been kept.
        """
        if self._prepared and not self._log.sound:
            self._rewrite()
        try:
            self._log.append(change)
        except StorageUnavailable:
            # Where the log itself takes the room, writing it anew makes some.
            if not (self._log.sound and self._is_outdated() and len(self._state) <= SHORTENED_AT_ONCE):
                raise
            self._shorten()
            self._log.append(change)
        self._state.apply(change)

    def prepare(self) -> None:
        """Make the file where there is none, and write it anew where most of it is out of date.

        Raises:
            StorageUnavailable: That failed.
        """
        with self.turn() as state:
            if state.identity is None and self._log.sound:
                self.record(Put((_new_identity(),)))
            elif state.identity is None:
                state.apply(Put((_new_identity(),)))
            if not self._log.sound:
                self._rewrite()
            elif self._is_outdated():
                self._shorten()
            self._prepared = True

    @property
    def identity(self) -> str:
        """What tells the data of this file, which was prepared, from others; empty before."""
        with self.turn() as state:
            return state.identity.text if state.identity is not None else ""

    def check_identity(self, wanted: str | None) -> None:
        """Return if the file was prepared, and has the identity that is wanted, if any.

        Raises:
            StorageUnavailable: It was not, or has another.
        """
        found = self.identity
        if not found:
            raise StorageUnavailable(f"{self._path} is not there, or was not prepared; run `songs prepare`.")
        if wanted is not None and found != wanted:
            raise StorageUnavailable(f"{self._path} is another file than before; bring it back, or start again.")

    def _is_outdated(self) -> bool:
        return self._log.changes > 2 * len(self._state) + SLACK

    def _shorten(self) -> None:
        """Write the file anew if there is room for another one; else go on with the long one."""
        try:
            self._rewrite()
        except StorageUnavailable as error:
            if not self._log.sound:
                raise
            _logger.warning("The log stays as long as it is: %s", error.detail)

    def _rewrite(self) -> None:
        self._log.rewrite(Put((row,)) for row in self._state.rows())

    def close(self) -> None:
        """Let go of the file, and of the lock, when the call that is going on has ended."""
        # After a fork, a thread that this process does not have may seem to hold it.
        with self._turn if os.getpid() == self._pid else contextlib.nullcontext():
            if not self._closed:
                self._closed = True
                self._log.close()
                os.close(self._lock_fd)


def _new_identity() -> Identity:
    return Identity(secrets.token_hex(16))


def _lock(path: Path) -> int:
    """Return a file descriptor that holds the lock until it is closed, by us or, when we die, by the kernel.

    It is a file of its own, which stays: the log itself is replaced when it is written anew.
    """
    name = path.with_name(path.name + ".lock")
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(fd)
            raise
    except BlockingIOError as error:
        raise StorageInUse(f"Another process has {path} open, which serves one at a time. Stop it first.") from error
    except OSError as error:
        raise StorageUnavailable(f"The lock file {name} cannot be made or locked: {error.strerror}.") from error
    return fd
