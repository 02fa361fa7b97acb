"""Windows of rate limits that all processes of a service remember together, in a table in shared memory.

The table is anonymous memory behind a descriptor (memfd), whose size is reserved and sealed when it is made. So it can
be mapped without the risks of a mapped file: it cannot be truncated, and no disk can be full.
"""

import fcntl
import logging
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

from songs.ports.clock import Clock
from songs_api.resilient_limiter import Edit, ProcessWindows, Result, Window

LIMITS: Final = (
    "default",
    "default-network",
    "register",
    "register-network",
    "sign-in-address",
    "sign-in-network",
    "sign-in",
    "sign-in-user",
    "sign-in-tried",
)
"""The limits that have a region of the table each, so that no flood of one costs another one its memory."""
SETS: Final = 512
WAYS: Final = 32
"""The number of windows in one set of a region."""
HEAVY_WAYS: Final = 24
"""The number of them that may be more than half used before these replace each other. With 5,000
windows a set has 10 in the mean, and one set of 100,000 has more than this."""
LOCK_S: Final = 2.0
"""The time to wait for another process to release a set, which takes some microseconds while it runs."""
_PAUSE_S: Final = 0.000_1
_NAME: Final = "songs-limit-windows"
_MARK: Final = b"songs limit windows 1\n"
_HEAD_BYTES: Final = 4096
_SECRET: Final = slice(64, 96)
_KEY_BYTES: Final = 16
_FREE: Final = bytes(_KEY_BYTES)
_RECORD: Final = struct.Struct("<16sQddiiiiIB3x")
_OWN: Final = 1
_HEAVY: Final = 2
_KEYS_BYTES: Final = WAYS * _KEY_BYTES
_SET_BYTES: Final = _KEYS_BYTES + WAYS * _RECORD.size
TABLE_BYTES: Final = _HEAD_BYTES + len(LIMITS) * SETS * _SET_BYTES
_SEALS: Final = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW: not every system has them
_STRIPES: Final = 64
_MOST: Final = 2**31 - 1
_MOST_SERIAL: Final = 2**63
TABLE_LOST: Final = (
    "What all processes remember of their limits cannot be used (%s): this one goes on alone. When the limiter does "
    "not answer or loses its counts, all together may allow more than a limit until its window ends."
)
_log: Final = logging.getLogger(__name__)


class WindowTable:
    """The table, as one process sees it. Thread-safe.

    Each region is an array of sets. A keyed hash of the bucket selects the set of its window, so clients cannot choose
    buckets that share a set. A process that is killed releases its locks, and leaves a record old, new, or, if it was
    killed within nanoseconds, partly old and partly new.

    Args:
        descriptor: The descriptor of the memory; closed by `close`.

    Attributes:
        works: Whether the table has worked for this process so far.

    Raises:
        OSError: The memory is not such a table.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.works = True
        sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
        marked = os.pread(descriptor, len(_MARK), 0) == _MARK
        if not (sealed and marked and os.fstat(descriptor).st_size == TABLE_BYTES):
            msg = "it is not a table of this version"
            raise OSError(msg)
        self._memory = mmap.mmap(descriptor, TABLE_BYTES)
        self._secret = self._memory[_SECRET]
        # Locks of files are those of a process: they keep no thread of it from another one.
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]

    @classmethod
    def create(cls) -> "WindowTable":
        """Make a table, which lasts until the last process lets go of it.

        Raises:
            OSError: There is not as much memory, or the system has none of this kind.
        """
        if not hasattr(os, "memfd_create"):
            msg = "this system has no memory behind descriptors"
            raise OSError(msg)
        descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(descriptor, 0, TABLE_BYTES)
            os.pwrite(descriptor, _MARK.ljust(_SECRET.start, b"\0") + os.urandom(_SECRET.stop - _SECRET.start), 0)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def open(cls, path: str) -> "WindowTable":
        """Open the table that another process made, where that says it is.

        Raises:
            OSError: It is not there, or of another kind.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def path(self) -> str:
        """The path by which other processes open it, while this process holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def close(self) -> None:
        """Let go of it."""
        self._memory.close()
        os.close(self._descriptor)

    def place(self, region: int, bucket: str) -> tuple[int, bytes]:
        """Return which set of the table a bucket is in, and its key there."""
        key = blake2b(bucket.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES, key=self._secret).digest()
        return region * SETS + int.from_bytes(key[:2], "little") % SETS, key

    @contextmanager
    def locked(self, number: int) -> Iterator[None]:
        """Keep all others from a set for as long as the context lasts.

        Raises:
            OSError: The set cannot be locked; `TimeoutError`: another process did not let go of it.
        """
        with self._stripes[number % _STRIPES]:
            self._lock(number)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)

    def get(self, number: int, key: bytes) -> Window | None:
        """Return the window of a key in a set."""
        found = self._find(number, key)
        if found is None:
            return None
        at, record_at = found
        record = _RECORD.unpack_from(self._memory, record_at)
        if self._memory[at : at + _KEY_BYTES] != key:
            # Where the set is not locked, the record may have become another one's.
            return None
        name, serial, ends_s, _, used, uncounted, here, part, losses, flags = record
        return Window(
            name.rstrip(b"\0").decode("ascii", "replace"),
            serial,
            used,
            uncounted,
            here,
            ends_s,
            own=flags & _OWN != 0,
            part=None if part < 0 else part,
            losses=losses,
            heavy=flags & _HEAVY != 0,
        )

    def put(self, number: int, key: bytes, window: Window, now_s: float) -> None:
        """Put the window of a key into a set that is locked, in the place of another one if it is full."""
        record = _RECORD.pack(
            window.name.encode("ascii", "replace"),
            min(window.serial, _MOST_SERIAL),
            window.ends_s,
            now_s,
            min(window.used, _MOST),
            max(-_MOST, min(window.uncounted, _MOST)),
            min(window.here, _MOST),
            -1 if window.part is None else min(window.part, _MOST),
            min(window.losses, _MOST),
            window.own * _OWN | window.heavy * _HEAVY,
        )
        memory = self._memory
        found = self._find(number, key)
        if found is not None:
            memory[found[1] : found[1] + _RECORD.size] = record
            return
        at, record_at = self._find(number, _FREE) or self._least_needed(number, now_s)
        # In this order no key ever stands for what was remembered of another one.
        memory[at : at + _KEY_BYTES] = _FREE
        memory[record_at : record_at + _RECORD.size] = record
        memory[at : at + _KEY_BYTES] = key

    def _lock(self, number: int) -> None:
        ends_s = None
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):
                now_s = time.monotonic()
                ends_s = ends_s or now_s + LOCK_S
                if now_s >= ends_s:
                    msg = "another process holds it and does not go on"
                    raise TimeoutError(msg) from None
                time.sleep(_PAUSE_S)
            else:
                return

    def _find(self, number: int, key: bytes) -> tuple[int, int] | None:
        """Return where a key and its record are in a set."""
        begin = _HEAD_BYTES + number * _SET_BYTES
        at = self._memory.find(key, begin, begin + _KEYS_BYTES)
        while at >= 0 and (at - begin) % _KEY_BYTES:
            at = self._memory.find(key, at + 1, begin + _KEYS_BYTES)
        return None if at < 0 else self._at(number, (at - begin) // _KEY_BYTES)

    @staticmethod
    def _at(number: int, way: int) -> tuple[int, int]:
        begin = _HEAD_BYTES + number * _SET_BYTES
        return begin + way * _KEY_BYTES, begin + _KEYS_BYTES + way * _RECORD.size

    def _least_needed(self, number: int, now_s: float) -> tuple[int, int]:
        """Return where the window is that a full set forgets: one that ended, or one of the kind that has too many."""
        begin = self._at(number, 0)[1]
        records = list(_RECORD.iter_unpack(self._memory[begin : begin + WAYS * _RECORD.size]))
        heavy = sum(record[-1] & _HEAVY != 0 for record in records)
        forgets_heavy = heavy > HEAVY_WAYS

        def need(way: int) -> tuple[bool, bool, float]:
            _, _, ends_s, hit_s, *_, flags = records[way]
            return ends_s > now_s, (flags & _HEAVY != 0) != forgets_heavy, hit_s

        return self._at(number, min(range(WAYS), key=need))


class SharedWindows:
    """The windows of one limit in a table that all processes of a service share.

    As `ProcessWindows` it keeps windows that are more than half used apart from the others. If the table fails, this
    process goes on with windows of its own, and logs that once.

    Args:
        table: The table.
        limit: One of `LIMITS`.
        alone: The windows to go on with.
        clock: The machine's clock, which all processes share.
    """

    def __init__(self, table: WindowTable, limit: str, alone: ProcessWindows, clock: Clock) -> None:
        self._table = table
        self._region = LIMITS.index(limit)
        self._alone = alone
        self._clock = clock

    @property
    def holders(self) -> int:
        """One, while there is the table."""
        return 1 if self._table.works else self._alone.holders

    def last(self, bucket: str) -> Window | None:
        """Return the bucket's last window."""
        if not self._table.works:
            return self._alone.last(bucket)
        return self._table.get(*self._table.place(self._region, bucket))

    def change(self, bucket: str, edit: Edit[Result]) -> Result:
        """Change what is remembered of a bucket."""
        table = self._table
        if table.works:
            number, key = table.place(self._region, bucket)
            try:
                with table.locked(number):
                    window, result = edit(table.get(number, key))
                    if window is not None:
                        table.put(number, key, window, self._clock.monotonic_s())
                    return result
            except OSError as error:
                if table.works:
                    table.works = False
                    _log.warning(TABLE_LOST, error.strerror or error)
        return self._alone.change(bucket, edit)
