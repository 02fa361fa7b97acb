"""Storages in which a limit, a number or a batch has a bound of its own, or an absent record a rule of its own."""

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from songs.errors import DuplicateSong, StorageUnavailable, UserExists, VersionConflict
from songs.model import DifficultyTotals, Rating, Session, Song, User
from songs.ports.sessions import Rotation
from songs.query import SongFilter
from songs_memory.repositories import MemoryRatings, MemorySessions, MemorySongs, MemoryUsers
from songs_memory.state import State
from songs_memory.unit import MemoryUnit
from songs_plugins import AdapterSpec

from .planting import memory_of, repositories, unit

LARGEST_INT32 = 2**31 - 1


def none_for_nothing(limit: int) -> int:
    """Return a limit as a database takes it in which 0 is none."""
    return limit or 1_000_000


def fits(limit: int) -> int:
    """Return a limit, as a driver does that sends four bytes."""
    if limit > LARGEST_INT32:
        raise OverflowError(limit)
    return limit


def songs_with(change: Callable[[int], int]) -> AdapterSpec:
    """Return a storage that changes the limits of lists of songs."""

    class Songs(MemorySongs):
        def find(
            self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
        ) -> tuple[Song, ...]:
            return super().find(song_filter, limit=change(limit), after_id=after_id, offset=offset)

    return repositories(songs=Songs)


songs_without_a_limit_of_nothing = songs_with(none_for_nothing)
songs_have_a_page = songs_with(lambda limit: min(limit, 1000))
songs_have_a_narrow_limit = songs_with(fits)


def users_with(change: Callable[[int], int]) -> AdapterSpec:
    """Return a storage that changes the limits of lists of users."""

    class Users(MemoryUsers):
        def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
            return super().find(limit=change(limit), after_id=after_id)

    return repositories(users=Users)


users_without_a_limit_of_nothing = users_with(none_for_nothing)
users_have_a_page = users_with(lambda limit: min(limit, 100))


class _EventsInPages(MemoryRatings):
    def of_song(self, song_id: str, *, limit: int, after_id: str | None = None) -> tuple[Rating, ...]:
        """Return one page, whatever was asked for."""
        return super().of_song(song_id, limit=min(limit, 1000), after_id=after_id)


events_have_a_page = repositories(ratings=_EventsInPages)


class _ExpiredInBatches(MemorySessions):
    def delete_expired(self, *, at: datetime, limit: int) -> int:
        """Remove one batch, and all where none were asked for."""
        return super().delete_expired(at=at, limit=min(none_for_nothing(limit), 100))


expired_sessions_have_a_batch = repositories(sessions=_ExpiredInBatches)


class _KeepsSome(MemoryUsers):
    def delete(self, user_id: str) -> bool:
        """Remove a page of the user's sessions."""
        state = self._view.writing()
        stored = state.users.rows.get(user_id)
        if stored is not None:
            ended = state.sessions.of(user_id, limit=50)
            self._view.stage(replace(state, users=state.users.minus(stored), sessions=state.sessions.minus(*ended)))
        return stored is not None


half_of_the_sessions_stay = repositories(users=_KeepsSome)


class _SinglePrecision(MemorySongs):
    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        """Add up in four bytes."""
        found = super().difficulty_totals(level)
        return DifficultyTotals(found.count, int(struct.unpack("f", struct.pack("f", found.sum_milli))[0]))


sums_have_single_precision = repositories(songs=_SinglePrecision)


class _HundredWrites(MemoryUnit):
    def stage(self, state: State) -> None:
        """Take as many writes as one batch of the driver does."""
        writes = self.__dict__["writes"] = self.__dict__.get("writes", 0) + 1
        if writes > 100:
            raise StorageUnavailable
        super().stage(state)


transaction_takes_a_hundred_writes = unit(_HundredWrites)


class _WholeSeconds(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Count seconds."""
        return super().rotate(
            session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=int(grace_s)
        )


grace_time_is_whole_seconds = repositories(sessions=_WholeSeconds)


class _ConditionFirst(MemorySongs):
    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Take a song that is not there for one of another version."""
        if if_version is not None and self.get(song_id) is None:
            self._view.writing()
            raise VersionConflict
        return super().delete(song_id, if_version=if_version)

    def replace(self, song: Song, *, if_version: int) -> None:
        """Look for the identity before the song."""
        if any(each.id != song.id for each in self.identify([song.identity]).values()) and self.get(song.id) is None:
            self._view.writing()
            raise DuplicateSong
        super().replace(song, if_version=if_version)


no_song_has_another_version = repositories(songs=_ConditionFirst)


class _Remembers(MemoryUsers):
    def add(self, user: User) -> None:
        """Refuse the id of a user that is gone."""
        if user.id in memory_of(self._view):
            self._view.writing()
            raise UserExists
        super().add(user)

    def delete(self, user_id: str) -> bool:
        """Leave a tombstone."""
        memory_of(self._view)[user_id] = True
        return super().delete(user_id)


user_is_gone_for_ever = repositories(users=_Remembers)


class _Tombstones(MemorySessions):
    def add(self, session: Session) -> None:
        """Take a session that is gone for one that is there."""
        if session.id not in memory_of(self._view):
            super().add(session)

    def delete(self, session_id: str) -> None:
        """Leave a tombstone."""
        memory_of(self._view)[session_id] = True
        super().delete(session_id)


session_is_gone_for_ever = repositories(sessions=_Tombstones)
