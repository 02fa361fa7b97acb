"""What a fetch knows beforehand: the coherence record as one process sees it, and a prefetched entry."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from songs.application.runner import UnitRunner
from songs.ports.cache import CountAndGet, Hit, Miss
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.limiter import RateLimit, Verdict
from songs.ports.meter import UNMETERED, Meter

FIRST_EPOCH: Final = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The record as this process saw it. Times are those of its monotonic clock.

    Attributes:
        record: The record.
        read_started_s: The start of the latest reading that returned it.
        first_seen_s: The time at which this epoch was first seen.
        off_since_s: The time since which this process has seen no cache on. Infinite while one is on.
    """

    record: CoherenceRecord
    read_started_s: float
    first_seen_s: float
    off_since_s: float


class CoherenceView:
    """Reads and advances the record, and remembers its latest epoch. Thread-safe.

    Args:
        runner: Runs the units.
        clock: The monotonic clock of this process.
        noticed: Called with the previous and the current record whenever the record has changed.
        meter: Shows the record.

    Attributes:
        seen: The record of the latest epoch seen so far; None before the first reading.
    """

    def __init__(
        self,
        runner: UnitRunner,
        clock: Clock,
        noticed: Callable[[Seen | None, Seen], None],
        *,
        meter: Meter = UNMETERED,
    ) -> None:
        self._runner = runner
        self._clock = clock
        self._noticed = noticed
        self._meter = meter
        self._noting = threading.Lock()
        self.seen: Seen | None = None

    def read(self, deadline: Deadline) -> Seen:
        """Read the record; return it, or the one of a later epoch that was seen before."""
        started_s = self._clock.monotonic_s()
        record = self._runner.read(lambda unit: unit.coherence.read(), deadline=deadline)
        return self._note(record, started_s)

    def advance(self, record: CoherenceRecord, *, cache: str = "", cache_on: bool = False, deadline: Deadline) -> Seen:
        """Advance the record from this one, if it is still the same; return what it is then, as `read` does."""
        started_s = self._clock.monotonic_s()
        moved = self._runner.write(
            lambda unit: unit.coherence.advance(expected_epoch=record.epoch, cache_on=cache_on, cache=cache),
            deadline=deadline,
        )
        return self._note(moved, started_s)

    def _note(self, record: CoherenceRecord, started_s: float) -> Seen:
        with self._noting:
            known = self.seen
            if known is not None and record.epoch < known.record.epoch:
                return known
            if known is not None and record == known.record:
                started_s = max(started_s, known.read_started_s)
                self.seen = Seen(record, started_s, known.first_seen_s, known.off_since_s)
                return self.seen
            now_s = self._clock.monotonic_s()
            seen = Seen(record, started_s, now_s, _off_since_s(known, record, now_s))
            self._noticed(known, seen)
            self.seen = seen
            self._meter.coherence(record.epoch, cache_on=is_on(record))
            return seen


def is_on(record: CoherenceRecord) -> bool:
    """Return whether hits of a cache count. One that is on and has no name was switched on by an older version."""
    return record.cache_on and record.cache != ""


def was_never_advanced(record: CoherenceRecord) -> bool:
    """Return whether no process of this version can have believed a cache yet."""
    return record.epoch == FIRST_EPOCH and not record.cache


def _off_since_s(known: Seen | None, record: CoherenceRecord, now_s: float) -> float:
    if was_never_advanced(record):
        return -inf
    if record.cache_on:
        return inf
    if known is None or was_never_advanced(known.record):
        # Processes of an older version may have believed a cache until now.
        return now_s
    if record.epoch <= known.record.epoch + 1 and known.off_since_s < inf:
        # No epoch came between in which a cache could have been on.
        return known.off_since_s
    return now_s


class Prefetched:
    """Counts one request, and fetches the cache entry that it will read in the same round trip.

    Args:
        count_and_get: Asks the counting cache.
        group: The cache group of the entry.
        entry: The expected name of the entry in its group.
    """

    __slots__ = ("_count_and_get", "_entry", "_found", "_group")

    def __init__(self, count_and_get: CountAndGet, group: str, entry: str) -> None:
        self._count_and_get = count_and_get
        self._group = group
        self._entry = entry
        self._found: Hit | Miss | None = None

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit, as `RateLimiter.hit` does.

        Raises:
            LimiterUnavailable: The limiter does not answer.
        """
        verdict, self._found = self._count_and_get(bucket, limit, self._group, self._entry)
        return verdict

    def take(self, group: str, entry: str) -> Hit | Miss | None:
        """Return what was brought along, if it is this entry."""
        return self._found if (self._group, self._entry) == (group, entry) else None
