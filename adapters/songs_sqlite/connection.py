"""One connection to the file, set up once, used by one thread at a time."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from songs.deadline import Deadline
from songs.ports.clock import Clock
from songs_sqlite.errors import locked, waiting_helps

Row = tuple[Any, ...]
Parameters = tuple[object, ...]

LOCK_SLICE_S: Final = 0.02
"""How long SQLite itself waits for a lock before we look at the deadline. Its pauses grow with the wait, so short
slices also mean that one of several processes is not left behind."""
PAUSE_S: Final = 0.001
"""Between two such waits."""
STEPS_BETWEEN_LOOKS: Final = 10_000
"""Virtual machine steps between two looks at the deadline: below a millisecond."""

_SETUP: Final = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA temp_store = MEMORY",
)


class Connection:
    """A connection to an existing file. Raises the driver's own errors, and `StorageUnavailable` for a lasting lock.

    While `deadline` is set, statements that run past it are interrupted.
    """

    __slots__ = ("_clock", "_raw", "deadline")

    def __init__(self, path: Path, deadline: Deadline, clock: Clock) -> None:
        self._clock = clock
        self.deadline: Deadline | None = deadline
        self._raw = sqlite3.connect(
            path.as_uri() + "?mode=rw",
            uri=True,
            timeout=LOCK_SLICE_S,
            isolation_level=None,
            detect_types=0,
            check_same_thread=False,
            cached_statements=128,
        )
        try:
            for statement in _SETUP:
                self.wait_for(statement, deadline)
            self._raw.set_progress_handler(self._expired, STEPS_BETWEEN_LOOKS)
        except BaseException:
            self._raw.close()
            raise

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's connection."""
        return self._raw

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Run a statement to its end, at which its locks are let go; return its rows."""
        return self._raw.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Run a statement that returns no rows; return how many it inserted, updated or deleted."""
        return self._raw.execute(sql, parameters).rowcount

    def change_each(self, sql: str, parameters: Iterable[Parameters]) -> int:
        """Run a statement once for each of `parameters`; return how many rows it changed altogether."""
        return self._raw.executemany(sql, parameters).rowcount

    def wait_for(self, sql: str, deadline: Deadline, parameters: Parameters = ()) -> list[Row]:
        """Run a statement that may find a lock held, again and again until `deadline` has passed.

        Raises:
            StorageUnavailable: The lock did not come free in time.
        """
        while True:
            try:
                return self.rows(sql, parameters)
            except sqlite3.OperationalError as error:
                if not waiting_helps(error):
                    raise
                if deadline.remaining_s() <= 0.0:
                    raise locked() from error
                # Where SQLite sees that waiting could be mutual, it does not wait at all.
                self._clock.sleep(PAUSE_S)

    def open_log(self, deadline: Deadline) -> None:
        """Have the log opened, which the first look at the file does, until `deadline`."""
        self.wait_for("SELECT 1 FROM sqlite_schema LIMIT 1", deadline)

    def has_frames(self, deadline: Deadline) -> bool:
        """Return whether SQLite believes that the log holds anything, or cannot read it; move it into the file."""
        try:
            while True:
                ((busy, frames, _),) = self.rows("PRAGMA wal_checkpoint(PASSIVE)")
                if not busy or frames >= 0:
                    return int(frames) > 0
                if deadline.remaining_s() <= 0.0:
                    raise locked()
                self._clock.sleep(PAUSE_S)
        except sqlite3.Error:
            return True

    def database_bytes(self) -> int:
        """Return how large SQLite believes the database to be, with what is in the log."""
        ((pages, size),) = self.rows("SELECT page_count, page_size FROM pragma_page_count, pragma_page_size")
        return int(pages) * int(size)

    def empty_log(self) -> bool:
        """Move the log into the file and empty it, if no reader needs it any more; return whether that was done."""
        try:
            ((busy, *_),) = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            # The log stays as it is: nothing is lost, and whatever is wrong will show in the next statement.
            return False
        return not busy

    def end(self, statement: str) -> bool:
        """Run ROLLBACK or END if a transaction is open; return whether the connection may be used again."""
        self.deadline = None
        try:
            if self._raw.in_transaction:
                self._raw.execute(statement)
        except sqlite3.Error:
            return False
        return True

    def close(self) -> None:
        """Close it, which rolls back what is open. Never raises."""
        self.deadline = None
        try:
            self._raw.close()
        except sqlite3.Error:
            # Nothing depends on how an unusable connection ends: the log of writes is recovered by the next one.
            return

    def _expired(self) -> int:
        deadline = self.deadline
        return int(deadline is not None and deadline.remaining_s() <= 0.0)
