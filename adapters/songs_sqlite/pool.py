"""Connections, and the removal of orphans.

Orphans are ratings of songs that are gone. They are removed a batch at a time, so that deleting a song takes as long as
a batch. A song's ratings stand under its *incarnation*: its id, or, where ratings of an earlier song with that id are
not all removed yet, the id, a slash and a random number. A deletion writes it down in ``deleted_songs`` if it leaves
ratings behind. Nothing reads them any more; a key of theirs is free for any later rating.
"""

import ctypes
import os
import sqlite3
import threading
import weakref
from collections import deque
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from songs.errors import StorageClosed, StorageUnavailable
from songs.ports.clock import Clock, Deadline
from songs_sqlite.connection import NO_ROOM, Connection, Parameters, Row, primary_code, translated
from songs_sqlite.files import OpenFiles
from songs_sqlite.group import FifoLock, Group

ORPHANS_AT_ONCE: Final = 250
"""Ratings that are removed in one transaction: some milliseconds, for which other writers wait."""

REMOVE_ORPHANS: Final = (
    "DELETE FROM ratings WHERE (song_id, id) IN (SELECT song_id, id FROM ratings WHERE song_id = ? LIMIT ?)"
)
NOTE_ORPHANS: Final = "INSERT INTO deleted_songs VALUES (?)"
FIND_ORPHANS: Final = "SELECT incarnation FROM deleted_songs LIMIT 1"
FORGET_ORPHANS: Final = "DELETE FROM deleted_songs WHERE incarnation = ?"


def orphans_exist(connection: Connection) -> bool:
    """Return whether ratings of songs that are gone are left."""
    return bool(connection.rows(FIND_ORPHANS))


class RunsStatements(Protocol):
    """A connection, or a unit of work: it runs statements."""

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return the rows of a statement."""
        ...

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Return how many rows a statement changed."""
        ...


def collect_orphans(connection: RunsStatements) -> bool:
    """Remove a batch, within a transaction that writes; return whether there was something to remove."""
    found = connection.rows(FIND_ORPHANS)
    if not found:
        return False
    if connection.change(REMOVE_ORPHANS, (found[0][0], ORPHANS_AT_ONCE)) < ORPHANS_AT_ONCE:
        connection.change(FORGET_ORPHANS, found[0])
    return True


LARGE_LOG_BYTES: Final = 16 * 2**20
"""From this size on the log is emptied after a commit. SQLite itself starts it over at a quarter of that, but only when
it happens to find no reader in it, and under steady reading the log would grow without end."""


class Pool:
    """Up to `size` connections to the file at `path`, opened when they are first needed. Thread-safe.

    Threads of a server come and go, so connections belong to nobody: each unit takes one and gives it back. Those that
    write take the one that wrote last, in whose page cache is what was written. `writing` is held by the one thread of
    this process that is writing or is the next to: threads then queue here, where the next one is woken at once, and
    not for SQLite's lock, which they would have to poll. It comes with `group`, if that is not None. `has_orphans` says
    that each write is to be followed by the removal of a batch of them. Callers wait for a connection until their
    deadlines, and do not fail fast, as at a bulkhead: a unit that takes long is no stall.
    """

    def __init__(self, path: Path, size: int, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.writing = FifoLock()
        self.group: Group | None = None
        self._size = size
        # A queue of tokens: a third of the time of a semaphore.
        self._turns: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._turns.put(None)
        # Ordered by their use: those that wrote on the left, those that read on the right.
        self._idle: deque[Connection] = deque()
        self._pid = os.getpid()
        self._closed = False
        self.files = OpenFiles(path)
        self.has_orphans = False
        self._needs_room = False
        self._opening = threading.Lock()
        self._opened = 0
        self._large_log_bytes = LARGE_LOG_BYTES
        _pools.add(self)

    @property
    def usable_here(self) -> bool:
        """Whether the pool is open, in the process that opened it."""
        return not self._closed and self._pid == os.getpid()

    def take(self, deadline: Deadline, *, writes: bool = False) -> Connection:
        """Return a connection that nobody else uses, with `deadline` set.

        Raises:
            StorageClosed: The pool is closed, or belongs to the process that this one was forked from.
            StorageUnavailable: No connection came free in time, or none could be opened.
        """
        if self._pid != os.getpid():
            raise StorageClosed("This process was forked off after the storage was opened; open it in this process.")
        if self._closed:
            raise StorageClosed
        try:
            self._turns.get(block=False)
        except Empty:
            self._wait_for_a_turn(deadline)
        try:
            connection = self._any_idle(writes=writes) or self._connect(deadline)
        except BaseException:
            self._turns.put(None)
            raise
        _taken.add(connection)
        connection.deadline = deadline
        return connection

    def give(self, connection: Connection, *, usable: bool, wrote: bool = False) -> None:
        """Take back what `take` returned; close it where it is not `usable`."""
        connection.deadline = None
        _taken.discard(connection)
        if usable and not self._closed:
            if wrote:
                self._idle.appendleft(connection)
            else:
                self._idle.append(connection)
            if self._closed:
                self.drop_idle()
        else:
            self._disconnect(connection)
        self._turns.put(None)

    def keep_log_short(self, connection: Connection) -> None:
        """Empty the log if it is large, waiting for readers for 20 ms; if they take longer, when it has grown again."""
        size = self.files.log_bytes
        if size >= self._large_log_bytes:
            self._large_log_bytes = LARGE_LOG_BYTES if connection.empty_log() else size + LARGE_LOG_BYTES

    def note_error(self, error: sqlite3.Error) -> None:
        """Note that the log may be what fills the disk, where something could not be written."""
        self._needs_room |= primary_code(error) in NO_ROOM

    def needs_room(self) -> bool:
        """Return whether the log may fill the disk, or there is no more room than it takes."""
        return self._needs_room or not self.files.has_room()

    def make_room(self, connection: Connection) -> None:
        """Empty the log before a write, where it `needs_room`.

        SQLite does so after commits alone, and on a full disk there are none: when the reader has gone for whom the log
        had grown, it would stay full. And what is in the log may need as much room again in the file.

        Raises:
            StorageUnavailable: There is too little room, and a reader needs the log.
        """
        self._needs_room = not connection.empty_log()
        self.files.check()
        if not self.files.has_room():
            raise StorageUnavailable("The disk is nearly full; nothing was changed. Free some space.")

    def collect_orphans(self, connection: Connection) -> bool:
        """Remove a batch of what songs that are gone have left, in a transaction of its own; return whether to go on.

        Nothing depends on it, so nothing is raised: what cannot be removed now is removed another time.
        """
        try:
            connection.rows("BEGIN IMMEDIATE")
            self.has_orphans = collect_orphans(connection)
            connection.change("COMMIT")
        except sqlite3.Error:
            connection.end("ROLLBACK")
            return False
        return self.has_orphans

    def close(self) -> None:
        """Close all idle connections, and each that is in use as soon as it is given back."""
        self._closed = True
        self.drop_idle()

    def drop_idle(self) -> None:
        """Close all idle connections."""
        while connection := self._any_idle():
            self._disconnect(connection)

    def _wait_for_a_turn(self, deadline: Deadline) -> None:
        try:
            self._turns.get(timeout=deadline.remaining_s())
        except Empty:
            msg = f"All {self._size} connections to the database are in use; nothing was changed."
            raise StorageUnavailable(msg) from None

    def _any_idle(self, *, writes: bool = False) -> Connection | None:
        try:
            # The last one used has the warmest page cache.
            return self._idle.popleft() if writes else self._idle.pop()
        except IndexError:
            return None

    def _connect(self, deadline: Deadline) -> Connection:
        with self._opening:
            self.files.check()
            if not self._opened and not _opened_here(self.path):
                self.files.refuse_lost_log(self.clock)
                self.files.refuse_index_without_room()
            try:
                connection = Connection(self.path, deadline, self.clock)
                self._opened += 1
                try:
                    connection.open_log(deadline)
                    self.files.note_log()
                    self.files.reserve_index()
                except BaseException:
                    self._close(connection)
                    raise
            except sqlite3.Error as error:
                raise translated(error) from error
        return connection

    def _disconnect(self, connection: Connection) -> None:
        with self._opening:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.close()
        self._opened -= 1
        if not self._opened:
            self.files.forget_log()


def _opened_here(path: Path) -> bool:
    """Return whether any pool of this process has connections to a file of this path."""
    return any(pool.path == path and pool._opened for pool in list(_pools))  # noqa: SLF001 - of this class


# SQLite's locks belong to the process that took them, while a forked child inherits the belief that it has them. So
# idle connections are closed before every fork (the pool opens new ones when needed); what other threads are using at
# that moment must never be touched in the child, not even be closed, and the child must not open the same file.
_pools: Final[weakref.WeakSet[Pool]] = weakref.WeakSet()
_taken: Final[set[Connection]] = set()
_inherited: Final[list[Connection]] = []


def refuse_forked_in_use() -> None:
    """Raise `StorageUnavailable` where this process was forked while connections were in use."""
    if _inherited:
        raise StorageUnavailable("This process was forked while a database was in use; open it in a fresh process.")


def _before_fork() -> None:
    for pool in list(_pools):
        pool.drop_idle()


def _in_child() -> None:
    for connection in list(_taken):
        # One reference that is never given back: else the connection would be closed when the process exits.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection.raw))
        _inherited.append(connection)
    _taken.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
