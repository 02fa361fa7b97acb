"""Cache-aside that never shows an old state after a write was acknowledged, whatever happens to the cache.

All processes agree through one record in the storage (`songs.ports.coherence`): an epoch, a cache, and whether it is
on. A cache is known by its identity (`songs.ports.cache`), which another server, a promoted replica, a server that was
started again, another prefix and another adapter do not share. So the record is in one of three states:

    off        no cache is named
    announced  X is named and not on: it may be switched on soon
    on         hits of X count

1. A hit counts only if it came from X, and a reading of the record which *started* at most `TRUST_S` before it arrived
   said that X is on. The epoch is part of every key, and a fill reads the epoch before it loads the data.
   Otherwise a process that is still connected to an old primary, or missed a change, would show old entries.
2. A cache is announced at least `ANNOUNCE_S` before it is on, and no cache replaces one that is on unless it was
   announced first. So a process that read the record at most `TRUST_S` ago knows each cache that is on now; entries
   that were loaded since an unknown cache was switched on were loaded later than that reading.
3. Every answer to a write is preceded by an invalidation, and then by a look at the record: a reading that started at
   most `TRUST_S` before, or after the invalidation where that failed. If X is on, and it was X that forgot, the answer
   goes out. An invalidation that another cache answered does not count: readers of X would not notice it. Then the
   cache looks for its server again.
4. Otherwise the record is advanced to off, unless it is off already or announces the same cache that forgot; and the
   answer goes out no sooner than `STALE_HITS_S` after this process first saw no cache on. By then no process accepts
   hits of an older epoch. A process does this when its cache does not respond, when it is not the record's cache
   (other settings, another server), and when it has no cache. So an outage, or another process with other settings,
   costs each process one such wait each time that a cache was switched on, and shows nothing old.
   In the first epoch, before any announcement, processes of an older version may use the cache: it counts as on for
   each process whose invalidation it did not answer.
5. A process whose cache answers, and is not the one that is on, announces it: 5 s after it first saw the record like
   that, and after ever longer pauses, to 60 s, while caches come and go; at once if it has only started. A process
   that has seen its cache announced for `ANNOUNCE_S` switches it on, under a new epoch without any entries.

Processes that permanently disagree on the cache switch off each other's, ever more rarely; that is slow, and never
stale. A write that was not acknowledged, because its process died between commit and invalidation, may stay hidden
from cached reads until the entry's time to live is over.
"""

import contextlib
import threading
from collections.abc import Callable, Collection
from typing import Final

from songs.application.runner import UnitRunner
from songs.caching.coherence_view import FIRST_EPOCH, CoherenceView, Prefetched, Seen, is_on, was_never_advanced
from songs.errors import CacheUnavailable, OutcomeUnknown, SongsError, Unavailable
from songs.ports.cache import Cache, Miss
from songs.ports.clock import Clock, Deadline
from songs.ports.coherence import CoherenceRecord
from songs.ports.meter import UNMETERED, Meter

TRUST_S: Final = 1.0
REFRESH_S: Final = 0.5
STALE_HITS_S: Final = 1.1
ANNOUNCE_S: Final = 1.1
PUBLISH_DEADLINE_S: Final = 2.0
OUTDATE_DEADLINE_S: Final = 10.0
FIRST_RETURN_S: Final = 5.0
LONGEST_RETURN_S: Final = 60.0
RETURN_DEADLINE_S: Final = 0.5
"""The time that announcing a cache, or switching it on, may delay the read that does it."""


class Coherence:
    """Reads through the cache, and makes writes visible to all readers. Thread-safe.

    Args:
        cache: The cache. One that keeps nothing, by its capabilities, is never called.
        runner: Runs the units that read and advance the coherence record.
        clock: The monotonic clock of this process.
        ttl_s: The time to live of entries, in seconds.
        announce_s: `ANNOUNCE_S`; 0 if nothing but this object uses the storage.
        meter: Counts reads and invalidations, and shows the record.

    Attributes:
        active: Whether the cache keeps anything; without it `fetch` only loads.
    """

    def __init__(
        self,
        cache: Cache,
        runner: UnitRunner,
        clock: Clock,
        *,
        ttl_s: float = 300.0,
        announce_s: float = ANNOUNCE_S,
        meter: Meter = UNMETERED,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._ttl_s = ttl_s
        self._announce_s = announce_s
        self._meter = meter
        self.active = cache.capabilities.keeps
        self._view = CoherenceView(runner, clock, self._noticed, meter=meter)
        self._refreshing = threading.Lock()
        self._returning = threading.Lock()
        self._return_pause_s = FIRST_RETURN_S
        self._return_at_s = 0.0
        # The epoch in which the cache of this process was found to be another one than the record's.
        self._elsewhere = 0

    def fetch(
        self,
        group: str,
        key: str,
        load: Callable[[], bytes],
        *,
        deadline: Deadline,
        prefetched: Prefetched | None = None,
    ) -> bytes:
        """Return the cached entry, or load it and store it in the cache.

        Args:
            group: The entries that are invalidated together.
            key: The entry within its group, including the name of its representation.
            load: Reads the storage. Its errors are not cached.
            deadline: For the reads of the coherence record.
            prefetched: May hold the cache's response already, received after this request began.

        Raises:
            SongsError: Any error of `load`, or of a storage that does not respond.
        """
        if not self.active:
            return load()
        seen = self._current(deadline)
        if not self._believes(seen.record):
            seen = self._return_if_due(seen, deadline)
            if not self._believes(seen.record):
                self._meter.cache_read("off")
                return load()
        entry = _entry(seen.record, key)
        found = None if prefetched is None else prefetched.take(group, entry)
        if found is None:
            try:
                found = self._cache.get(group, entry)
            except CacheUnavailable:
                self._meter.cache_read("unavailable")
                return load()
        if found.identity != seen.record.cache:
            self._meter.cache_read("elsewhere")
            self._note_elsewhere(seen.record.epoch)
        elif isinstance(found, Miss):
            self._meter.cache_read("miss")
            return self._load_and_fill(group, entry, found, load)
        elif self._clock.monotonic_s() - seen.read_started_s <= TRUST_S:
            self._meter.cache_read("hit")
            return found.value
        else:
            self._meter.cache_read("outdated")
        return load()

    def publish_write(self, groups: Collection[str]) -> None:
        """Make what was written visible to all later reads, in every process; return when it is.

        A process without a cache calls this too: others may have one.

        Raises:
            OutcomeUnknown: The storage did not confirm that every trusted cache was invalidated: old reads may still be
                served somewhere.
        """
        forgot = self._invalidate(groups) if self.active else ""
        try:
            self._publish(forgot)
        except Unavailable as error:
            stored = "The change is stored, but older reads may still be answered for a moment."
            raise OutcomeUnknown(public=stored) from error

    def outdate(self, *, beyond: int = 0) -> None:
        """Make all writes visible to all later reads; return when they are.

        Args:
            beyond: The record's epoch will be later than this one.

        Raises:
            Unavailable: The storage does not respond, so some processes may still serve old data.
        """
        deadline = Deadline.after(self._clock, OUTDATE_DEADLINE_S)
        seen = self._view.read(deadline)
        first = seen.record.epoch
        while seen.record.epoch <= max(first, beyond) or seen.record.cache_on or seen.record.cache:
            seen = self._view.advance(seen.record, deadline=deadline)
        self._wait_out_stale_hits(seen)

    def entry(self, key: str) -> str | None:
        """Return what an entry is called in its group, as far as is known here; None while no cache is believed."""
        seen = self._view.seen
        return _entry(seen.record, key) if seen is not None and self._believes(seen.record) else None

    @property
    def record(self) -> CoherenceRecord | None:
        """The record as last seen by this process; None before the first look."""
        seen = self._view.seen
        return seen.record if seen else None

    def _load_and_fill(self, group: str, entry: str, miss: Miss, load: Callable[[], bytes]) -> bytes:
        value = load()
        if miss.lease is not None:
            # Without a fill the value is right all the same; the next reader fills.
            with contextlib.suppress(CacheUnavailable):
                self._cache.fill(group, entry, value, lease=miss.lease, ttl_s=self._ttl_s)
        return value

    def _current(self, deadline: Deadline) -> Seen:
        seen = self._view.seen
        if seen is None:
            return self._view.read(deadline)
        now_s = self._clock.monotonic_s()
        # One thread refreshes in good time; the others go on with what they have, and look at its age.
        if now_s - seen.read_started_s >= REFRESH_S and self._refreshing.acquire(blocking=False):
            try:
                return self._view.read(deadline)
            finally:
                self._refreshing.release()
        return seen

    # A write.

    def _invalidate(self, groups: Collection[str]) -> str:
        """Return the identity of the cache that forgot; an empty one where none did."""
        try:
            forgot = self._cache.invalidate(groups)
        except CacheUnavailable:
            self._meter.invalidation(done=False)
            return ""
        self._meter.invalidation(done=True)
        return forgot

    def _publish(self, forgot: str) -> None:
        known = self._view.seen
        if (
            known is not None
            and forgot
            and (known.record.cache == forgot if is_on(known.record) else was_never_advanced(known.record))
            and self._clock.monotonic_s() - known.read_started_s < REFRESH_S
        ):
            # The usual case: no other cache is on, and the record was read a moment ago.
            return
        deadline = Deadline.after(self._clock, PUBLISH_DEADLINE_S)
        # An older version may have switched on, without announcing it, the cache that did not answer us.
        seen = self._view.read(deadline) if self.active and not forgot else self._recent(deadline)
        while self._may_show_old(seen.record, forgot):
            if forgot:
                self._look_again()
            seen = self._view.advance(seen.record, deadline=deadline)
        if not is_on(seen.record) and not _was_first(seen.record, forgot):
            self._wait_out_stale_hits(seen)

    def _look_again(self) -> None:
        """Let the cache look for its server again, as others use another one: it may be reached by now.

        A process that only writes has no other occasion, and would take back every announcement of the others for as
        long as its connections last.
        """
        with contextlib.suppress(CacheUnavailable):
            self._cache.ping()

    def _recent(self, deadline: Deadline) -> Seen:
        """Return the record by a reading that started at most `TRUST_S` ago, or after this was called."""
        try:
            seen = self._current(deadline)
        except Unavailable:
            known = self._view.seen
            if known is None:
                raise
            seen = known
        if self._clock.monotonic_s() - seen.read_started_s > TRUST_S:
            return self._view.read(deadline)
        return seen

    def _may_show_old(self, record: CoherenceRecord, forgot: str) -> bool:
        """Return whether a cache that did not forget is believed, or may be without another announcement."""
        if was_never_advanced(record):
            # Processes of an older version may believe theirs, which is the same as ours where we have one.
            return self.active and not forgot
        return (record.cache_on or record.cache != "") and (record.cache != forgot or not forgot)

    def _wait_out_stale_hits(self, seen: Seen) -> None:
        wait_s = seen.off_since_s + STALE_HITS_S - self._clock.monotonic_s()
        if wait_s > 0:
            self._clock.sleep(wait_s)

    # Which cache is on.

    def _believes(self, record: CoherenceRecord) -> bool:
        return record.cache_on and record.cache != "" and record.epoch != self._elsewhere

    def _noticed(self, known: Seen | None, seen: Seen) -> None:
        """Decide, when the record is seen to have changed, when this process will next try to have its cache on."""
        if known is not None and is_on(known.record) and seen.first_seen_s - known.first_seen_s > LONGEST_RETURN_S:
            self._return_pause_s = FIRST_RETURN_S
        if seen.record.cache and not seen.record.cache_on:
            pause_s = self._announce_s
        else:
            pause_s = 0.0 if known is None else self._return_pause_s
        self._return_at_s = seen.first_seen_s + pause_s

    def _note_elsewhere(self, epoch: int) -> None:
        if self._elsewhere != epoch:
            self._return_at_s = self._clock.monotonic_s() + self._return_pause_s
            self._elsewhere = epoch

    def _return_if_due(self, seen: Seen, deadline: Deadline) -> Seen:
        """Take the next step to have this process's cache on, if it is time; return the record as it is then."""
        if not self._returning.acquire(blocking=False):
            return seen
        try:
            now_s = self._clock.monotonic_s()
            if now_s < self._return_at_s:
                return seen
            self._return_at_s = now_s + FIRST_RETURN_S
            try:
                identity = self._cache.ping()
            except CacheUnavailable:
                return seen
            # The read that came by goes on without the cache: it must not fail with what it does not need.
            soon = Deadline.after(self._clock, min(RETURN_DEADLINE_S, deadline.remaining_s()))
            with contextlib.suppress(SongsError):
                return self._step(seen, identity, now_s, soon)
            return seen
        finally:
            self._returning.release()

    def _step(self, seen: Seen, identity: str, now_s: float, deadline: Deadline) -> Seen:
        record = seen.record
        if not identity:
            return seen
        if record.cache == identity and record.cache_on:
            self._elsewhere = 0
            return seen
        if record.cache != identity:
            waited_s = now_s - seen.first_seen_s
            if record.cache and not record.cache_on and waited_s < self._return_pause_s:
                # Another cache has been announced: it is given its time.
                self._return_at_s = seen.first_seen_s + self._return_pause_s
                return seen
            pause_s = self._return_pause_s
            if waited_s >= pause_s:
                # Before it is known whether the cache stays: one that comes and goes is tried ever more rarely.
                self._return_pause_s = min(2 * pause_s, LONGEST_RETURN_S)
            try:
                seen = self._view.advance(record, cache=identity, deadline=deadline)
            except SongsError:
                # It was not announced, as on a full disk: that says nothing of the cache.
                self._return_pause_s = pause_s
                raise
            if self._announce_s > 0 or seen.record.cache != identity or seen.record.cache_on:
                return seen
        elif now_s < (due_at_s := seen.first_seen_s + self._announce_s):
            # A thread that looked at the record before this one decided when to come here.
            self._return_at_s = due_at_s
            return seen
        return self._view.advance(seen.record, cache=identity, cache_on=True, deadline=deadline)


def _entry(record: CoherenceRecord, key: str) -> str:
    return f"{record.epoch}:{key}"


def _was_first(record: CoherenceRecord, forgot: str) -> bool:
    """Return whether the cache that forgot was the first to be announced: no other can have been believed yet."""
    return record.epoch == FIRST_EPOCH + 1 and record.cache != "" and record.cache == forgot
