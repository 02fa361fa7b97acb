"""Cache-aside that never shows an old state after a write was answered, whatever happens to the cache.

All processes agree through one record in the storage (`songs.ports.coherence`): an epoch, and whether the cache is on.

1. A hit counts only if a read of that record which *started* at most `TRUST_S` before the hit arrived said "on". The
   epoch is part of every key, and a fill reads the epoch before it loads the data.
2. Every answer to a write is preceded by an invalidation. When that worked, the answer goes out.
3. When it failed, the record is read, after the commit; if it says "on", it is advanced to "off"; and the answer goes
   out no sooner than `SETTLE_S` after this process first saw that epoch off. By then no process counts a hit of an
   older epoch any more. So an outage costs each process one such wait.
4. A process whose cache answers again advances the record to "on", with a new epoch under which nothing is stored yet:
   5 s after it first saw the cache off, and after ever longer pauses, to 60 s, while the cache comes and goes.

A write that nobody acknowledged because its process died between commit and invalidation may stay hidden from cached
reads until the entry's time to live is over; nobody was told of it.
"""

import contextlib
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol

from songs.deadline import Deadline
from songs.errors import CacheUnavailable, OutcomeUnknown, Unavailable
from songs.meter import UNMETERED, Meter
from songs.ports.cache import Cache, Hit, Miss
from songs.ports.clock import Clock
from songs.ports.coherence import CoherenceRecord
from songs.services.run import UnitRunner

TRUST_S: Final = 1.0
REFRESH_S: Final = 0.5
SETTLE_S: Final = 1.1
SETTLE_DEADLINE_S: Final = 2.0
FIRST_RETURN_S: Final = 5.0
LONGEST_RETURN_S: Final = 60.0
RETURN_DEADLINE_S: Final = 0.5
"""How long switching the cache on may hold the read that came by."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The record as this process saw it: when the read started, and when this epoch was first seen."""

    record: CoherenceRecord
    read_started_s: float
    first_seen_s: float


class Ahead(Protocol):
    """A request that may have asked the cache already, for what it was expected to read."""

    def take(self, group: str, entry: str) -> Hit | Miss | None:
        """Return what the cache said of this entry; None where it was not asked for it."""
        ...


class Coherence:
    """Reads through the cache and invalidates after writes. Thread-safe.

    Args:
        cache: The cache; one whose capabilities say that it keeps nothing is never asked.
        runner: Runs the units that read and advance the coherence record.
        clock: The monotonic clock of this process.
        ttl_s: The time to live of entries, in seconds.
        meter: Told of reads, invalidations and the record.

    Attributes:
        active: Whether the cache keeps anything; without it `fetch` only loads.
    """

    def __init__(
        self, cache: Cache, runner: UnitRunner, clock: Clock, *, ttl_s: float = 300.0, meter: Meter = UNMETERED
    ) -> None:
        self._cache = cache
        self._runner = runner
        self._clock = clock
        self._ttl_s = ttl_s
        self._meter = meter
        self.active = cache.capabilities.keeps
        self._seen: _Seen | None = None
        self._noting = threading.Lock()
        self._refreshing = threading.Lock()
        self._returning = threading.Lock()
        self._return_pause_s = FIRST_RETURN_S
        self._return_at_s = 0.0

    def fetch(
        self, group: str, key: str, load: Callable[[], bytes], *, deadline: Deadline, ahead: Ahead | None = None
    ) -> bytes:
        """Return the entry, or what `load` returns, which is then kept.

        Args:
            group: What is invalidated together.
            key: The entry within its group; names the representation too.
            load: Reads the storage. What it raises is not kept.
            deadline: For the reads of the coherence record.
            ahead: May have asked the cache already, after this request began.

        Raises:
            SongsError: Whatever `load` raises, or the storage when it does not answer.
        """
        if not self.active:
            return load()
        seen = self._current(deadline)
        if not seen.record.cache_on:
            self._meter.cache_read("off")
            self._return_if_due(seen, deadline)
            return load()
        entry = _entry(seen.record, key)
        found = None if ahead is None else ahead.take(group, entry)
        if found is None:
            try:
                found = self._cache.get(group, entry)
            except CacheUnavailable:
                self._meter.cache_read("unavailable")
                return load()
        if isinstance(found, Hit):
            if self._clock.monotonic_s() - seen.read_started_s <= TRUST_S:
                self._meter.cache_read("hit")
                return found.value
            self._meter.cache_read("outdated")
            return load()
        self._meter.cache_read("miss")
        return self._load_and_fill(group, entry, found, load)

    def wrote(self, groups: Collection[str]) -> None:
        """Make what was written visible to all later reads, in every process; return when it is.

        Raises:
            OutcomeUnknown: Neither cache nor storage answered, so that old reads may still be served somewhere.
        """
        if not self.active:
            return
        try:
            self._cache.invalidate(groups)
            self._meter.invalidation(done=True)
        except CacheUnavailable:
            self._meter.invalidation(done=False)
            try:
                self._outlast()
            except Unavailable as error:
                detail = "The change is stored, but older reads may still be answered for a moment."
                raise OutcomeUnknown(detail) from error

    def entry(self, key: str) -> str | None:
        """Return what an entry is called in its group, as far as this process knows; None while the cache is off."""
        seen = self._seen
        return _entry(seen.record, key) if seen is not None and seen.record.cache_on else None

    @property
    def record(self) -> CoherenceRecord | None:
        """The record as last seen by this process; None before the first read, or without a cache."""
        return self._seen.record if self._seen else None

    def _load_and_fill(self, group: str, entry: str, miss: Miss, load: Callable[[], bytes]) -> bytes:
        value = load()
        if miss.lease is not None:
            # Without a fill the value is right all the same; the next reader fills.
            with contextlib.suppress(CacheUnavailable):
                self._cache.fill(group, entry, value, lease=miss.lease, ttl_s=self._ttl_s)
        return value

    def _current(self, deadline: Deadline) -> _Seen:
        seen = self._seen
        now_s = self._clock.monotonic_s()
        if seen is None:
            return self._read(deadline)
        # One thread refreshes in good time; the others go on with what they have, and a hit checks its age.
        if now_s - seen.read_started_s >= REFRESH_S and self._refreshing.acquire(blocking=False):
            try:
                return self._read(deadline)
            finally:
                self._refreshing.release()
        return seen

    def _read(self, deadline: Deadline) -> _Seen:
        started_s = self._clock.monotonic_s()
        record = self._runner.read(lambda unit: unit.coherence.read(), deadline=deadline)
        return self._note(record, started_s)

    def _advance(self, epoch: int, *, cache_on: bool, deadline: Deadline) -> _Seen:
        started_s = self._clock.monotonic_s()
        record = self._runner.write(
            lambda unit: unit.coherence.advance(expected_epoch=epoch, cache_on=cache_on), deadline=deadline
        )
        return self._note(record, started_s)

    def _note(self, record: CoherenceRecord, started_s: float) -> _Seen:
        with self._noting:
            known = self._seen
            if known is not None and record.epoch < known.record.epoch:
                return known
            now_s = self._clock.monotonic_s()
            if known is not None and record == known.record:
                seen = _Seen(record, max(started_s, known.read_started_s), known.first_seen_s)
            else:
                if known is not None and known.record.cache_on and now_s - known.first_seen_s > LONGEST_RETURN_S:
                    self._return_pause_s = FIRST_RETURN_S
                seen = _Seen(record, started_s, now_s)
                self._return_at_s = now_s + self._return_pause_s
            self._seen = seen
            self._meter.coherence(record.epoch, cache_on=record.cache_on)
            return seen

    def _outlast(self) -> None:
        deadline = Deadline.after(self._clock, SETTLE_DEADLINE_S)
        seen = self._read(deadline)
        while seen.record.cache_on:
            seen = self._advance(seen.record.epoch, cache_on=False, deadline=deadline)
        wait_s = seen.first_seen_s + SETTLE_S - self._clock.monotonic_s()
        if wait_s > 0:
            self._clock.sleep(wait_s)

    def _return_if_due(self, seen: _Seen, deadline: Deadline) -> None:
        if not self._returning.acquire(blocking=False):
            return
        try:
            now_s = self._clock.monotonic_s()
            if now_s < self._return_at_s:
                return
            self._return_at_s = now_s + FIRST_RETURN_S
            try:
                self._cache.ping()
            except CacheUnavailable:
                return
            # Doubled before it is known whether the cache stays: one that comes and goes is tried ever more rarely.
            self._return_pause_s = min(2 * self._return_pause_s, LONGEST_RETURN_S)
            # The read that came by goes on without the cache: it must not fail with what it does not need.
            soon = Deadline.after(self._clock, min(RETURN_DEADLINE_S, deadline.remaining_s()))
            with contextlib.suppress(Unavailable):
                self._advance(seen.record.epoch, cache_on=True, deadline=soon)
        finally:
            self._returning.release()


def _entry(record: CoherenceRecord, key: str) -> str:
    return f"{record.epoch}:{key}"
