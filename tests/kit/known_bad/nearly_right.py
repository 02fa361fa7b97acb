"""Storages, caches, limiters and ids that are right in most examples, and wrong in a corner."""

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import cast

from songs.model import Rating, Song, SongIdentity, User
from songs.ports.cache import Hit, Miss
from songs.ports.clock import Clock
from songs.ports.ids import IdGenerator
from songs.ports.limiter import RateLimit, Verdict
from songs.ports.ratings import RatingReceipt
from songs.query import SongFilter
from songs_memory.cache import MemoryCache
from songs_memory.limiter import MemoryLimiter
from songs_memory.repositories import MemoryRatings, MemorySongs, MemoryUsers
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterContext, AdapterSpec, Port
from songs_system.plugin import songs_adapters as system_adapters
from songs_system.system import TimeOrderedIds

from .caches import cache
from .limiters import limiter
from .planting import changed, memory_of, repositories, unit

EVERYTHING = SongFilter()


class _KeepsInterrupted(MemoryUnit):
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Roll back for errors alone: an interrupt is none."""
        failed = kind is not None and issubclass(kind, Exception)
        super().__exit__(kind if failed else None, error if failed else None, at)


interrupted_unit_commits = unit(_KeepsInterrupted)


class _CountsCommitted(MemorySongs):
    def count(self, song_filter: SongFilter) -> int:
        """Count what is committed, whatever this unit wrote."""
        committed = cast("MemoryUnit", self._view)._source.current()
        return len(committed.songs.matching(song_filter))


count_lacks_own_writes = repositories(songs=_CountsCommitted)


class _AnyDate(MemorySongs):
    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        """Go by artist and title."""
        songs = self.find(EVERYTHING, limit=2000)
        return {each: song for each in identities for song in songs if song.identity[:2] == each[:2]}


identify_ignores_the_date = repositories(songs=_AnyDate)


class _LocalDates(MemorySongs):
    def get(self, song_id: str) -> Song | None:
        """Take the date for a midnight in the time zone of the machine, and read it as UTC."""
        song = super().get(song_id)
        if song is None or time.timezone >= 0 or song.released == date.min:
            return song
        return replace(song, details=replace(song.details, released=song.released - timedelta(days=1)))


dates_follow_the_time_zone = repositories(songs=_LocalDates)


class _JoinsKeys(MemoryRatings):
    def add(self, rating: Rating) -> RatingReceipt:
        """Know a key by one text made of user and key."""
        if rating.key is None:
            return super().add(rating)
        known = memory_of(self._view).setdefault(f"{rating.user_id}-{rating.key}", rating)
        return super().add(replace(rating, user_id=known.user_id, key=known.key))


user_and_key_run_together = repositories(ratings=_JoinsKeys)


class _ReplacesRows(MemoryUsers):
    def replace(self, user: User, *, if_version: int) -> None:
        """Delete the row and insert it again, and its sessions with it."""
        super().replace(user, if_version=if_version)
        state = self._view.reading()
        self._view.stage(replace(state, sessions=state.sessions.minus(*state.sessions.of(user.id, limit=10_000))))


changed_user_loses_its_sessions = repositories(users=_ReplacesRows)


class _Refreshes(MemoryCache):
    def get(self, group: str, key: str) -> Hit | Miss:
        """Begin the entry's time anew."""
        found = super().get(group, key)
        if isinstance(found, Hit) and self._groups is not None:
            self._groups[group].entries[key].expires_at_s += 1.0
        return found


reading_prolongs_an_entry = cache(_Refreshes)


class _WholeSeconds(MemoryCache):
    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        """Keep whole seconds, one at least."""
        super().fill(group, key, value, lease=lease, ttl_s=max(1, round(ttl_s)))


time_to_live_is_rounded = cache(_WholeSeconds)


class _CountsFromOne(MemoryCache):
    def open(self) -> None:
        """Begin to count anew."""
        if self._groups is None:
            self.__dict__["leases"] = 0
        super().open()

    def get(self, group: str, key: str) -> Hit | Miss:
        """Hand out the next number when a group is new."""
        found = super().get(group, key)
        if isinstance(found, Hit) or self._groups is None:
            return found
        if len(found.lease or b"") == len(b"sixteen bytes ok"):
            self.__dict__["leases"] += 1
            self._groups[group].lease = str(self.__dict__["leases"]).encode()
        return replace(found, lease=self._groups[group].lease)


lease_is_repeated_after_a_loss = cache(_CountsFromOne)


class _Prolongs(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Let the window end so long after its last hit that was allowed."""
        verdict = super().hit(bucket, limit)
        if not verdict.allowed or self._windows is None:
            return verdict
        self._windows[limit.window_s][bucket, limit.amount].ends_at_s = self._clock.monotonic_s() + limit.window_s
        return replace(verdict, reset_s=float(limit.window_s))


allowed_hits_prolong_the_window = limiter(_Prolongs)


class _Aligned(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Let windows end when the clock shows a multiple of them."""
        number = self._clock.monotonic_s() // limit.window_s
        return super().hit(f"{bucket} {number}", limit)


windows_end_by_the_clock = limiter(_Aligned)


class _ConstantReset(MemoryLimiter):
    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Say that the window ends in a whole window."""
        return replace(super().hit(bucket, limit), reset_s=float(limit.window_s))


reset_is_the_whole_window = limiter(_ConstantReset)


def ids(kind: Callable[[Clock], IdGenerator]) -> AdapterSpec:
    """Return the descriptor of ids that go by the clock that they are given."""

    def factory(settings: object, context: AdapterContext) -> IdGenerator:
        return kind(context.clock)

    return changed(next(spec for spec in system_adapters() if spec.port is Port.IDS), factory)


class _OnePerThread:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._local = threading.local()

    def new_id(self) -> str:
        """Let each thread have a generator of its own."""
        made = self._local.__dict__.setdefault("ids", TimeOrderedIds(self._clock))
        return str(made.new_id())


threads_have_an_order_each = ids(_OnePerThread)

AHEAD = timedelta(seconds=int.from_bytes(os.urandom(3)))


class _SinceStart:
    """A clock that each process began at another time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.monotonic_s = clock.monotonic_s
        self.sleep = clock.sleep

    def now(self) -> datetime:
        """Return a time that only this process goes by."""
        return self._clock.now() + AHEAD


processes_have_an_order_each = ids(lambda clock: TimeOrderedIds(_SinceStart(clock)))
