"""Storages whose users, sessions or coherence record are wrong."""

from dataclasses import replace
from datetime import datetime

from songs.errors import InvalidToken, UserExists
from songs.model import Session, User
from songs.ports.coherence import CoherenceRecord
from songs.ports.sessions import Rotation
from songs_memory.repositories import MemoryCoherence, MemorySessions, MemoryUsers

from .planting import memory_of, repositories


class _ExactNames(MemoryUsers):
    def by_name(self, name: str) -> User | None:
        """Compare names with their case."""
        found = super().by_name(name)
        return found if found is not None and found.name == name else None


user_is_found_by_exact_name = repositories(users=_ExactNames)


class _TwoSpellings(MemoryUsers):
    def add(self, user: User) -> None:
        """Store the name in another spelling where it is taken."""
        taken = super().by_name(user.name)
        if taken is not None and taken.name != user.name:
            user = replace(user, name=f"{user.name[:40]}.{user.id}"[:50])
        super().add(user)


names_differ_by_case = repositories(users=_TwoSpellings)


class _LowerCase(MemoryUsers):
    def add(self, user: User) -> None:
        """Store the name as it is compared."""
        super().add(replace(user, name=user.name_key))


spelling_is_lost = repositories(users=_LowerCase)


class _AddsOnce(MemoryUsers):
    def add(self, user: User) -> None:
        """Refuse a repetition."""
        if self.get(user.id) is not None:
            raise UserExists
        super().add(user)


user_cannot_be_added_again = repositories(users=_AddsOnce)


class _AnyVersion(MemoryUsers):
    def replace(self, user: User, *, if_version: int) -> None:
        """Replace whatever is stored."""
        stored = self.get(user.id)
        super().replace(user, if_version=if_version if stored is None else stored.version)


user_version_is_not_compared = repositories(users=_AnyVersion)


class _SessionsStay(MemoryUsers):
    def delete(self, user_id: str) -> bool:
        """Leave the user's sessions behind."""
        sessions = self._view.reading().sessions
        found = super().delete(user_id)
        self._view.stage(replace(self._view.reading(), sessions=sessions))
        return found


sessions_outlive_their_user = repositories(users=_SessionsStay)


class _ByName(MemoryUsers):
    def find(self, *, limit: int, after_id: str | None = None) -> tuple[User, ...]:
        """Order by name."""
        return tuple(sorted(super().find(limit=limit, after_id=after_id), key=lambda user: user.name))


users_are_ordered_by_name = repositories(users=_ByName)


class _NoPrevious(MemorySessions):
    def get(self, session_id: str) -> Session | None:
        """Lose a member."""
        found = super().get(session_id)
        return found and replace(found, previous_hash=None)


session_loses_its_previous_hash = repositories(sessions=_NoPrevious)


class _Rotates(MemorySessions):
    """Sessions whose rotation a defect changes, member by member."""

    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Rotate."""
        return super().rotate(
            session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=self.grace_s(grace_s)
        )

    def grace_s(self, grace_s: float) -> float:
        """Return the grace time to use."""
        return grace_s


class _NoGrace(_Rotates):
    def grace_s(self, grace_s: float) -> float:
        """Return what never applies."""
        return -1.0


grace_time_is_ignored = repositories(sessions=_NoGrace)


class _EndlessGrace(_Rotates):
    def grace_s(self, grace_s: float) -> float:
        """Return what always applies."""
        return 10e6


grace_time_never_ends = repositories(sessions=_EndlessGrace)


class _BelievesOtherClocks(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Let the grace time last until this process's clock is where that of the rotation was."""
        found = self.get(session_id)
        if found is not None and presented_hash == found.previous_hash and next_hash != found.current_hash:
            at = max(at, found.rotated_at) if at < found.expires_at else at
        return super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)


grace_time_waits_for_its_clock = repositories(sessions=_BelievesOtherClocks)


class _Raises(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Raise on reuse, which rolls the removal back."""
        found = super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)
        if found is Rotation.REUSED:
            raise InvalidToken
        return found


reuse_raises = repositories(sessions=_Raises)


class _Forgives(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Keep the session when a used token is shown."""
        before = self._view.reading()
        found = super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)
        if found is Rotation.REUSED:
            self._view.stage(before)
        return found


reuse_keeps_the_session = repositories(sessions=_Forgives)


class _NeverExpires(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Rotate an expired session by a time at which it had not."""
        found = self.get(session_id)
        then = at if found is None or at < found.expires_at else found.rotated_at
        return super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=then, grace_s=grace_s)


expired_session_rotates = repositories(sessions=_NeverExpires)


class _RotatesOnce(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Take a repetition for the use of an old token."""
        found = self.get(session_id)
        if found is not None and found.current_hash == next_hash:
            next_hash = f"{next_hash}-"
        return super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)


rotation_cannot_be_repeated = repositories(sessions=_RotatesOnce)


class _TwoWinners(MemorySessions):
    def rotate(self, session_id: str, *, presented_hash: str, next_hash: str, at: datetime, grace_s: float) -> Rotation:
        """Answer two callers that show one token within the grace time as if both were the first."""
        found = super().rotate(session_id, presented_hash=presented_hash, next_hash=next_hash, at=at, grace_s=grace_s)
        return Rotation.ROTATED if found is Rotation.RETRIED else found


rotation_has_two_winners = repositories(sessions=_TwoWinners)


class _KeepsNone(MemorySessions):
    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        """Remove the session that was to be kept, too."""
        return super().delete_of_user(user_id, limit=limit)


kept_session_is_removed = repositories(sessions=_KeepsNone)


class _AllAtOnce(MemorySessions):
    def delete_of_user(self, user_id: str, *, limit: int, keep_id: str | None = None) -> int:
        """Remove them all."""
        return super().delete_of_user(user_id, limit=max(limit, 1_000_000), keep_id=keep_id)


sessions_of_a_user_go_all_at_once = repositories(sessions=_AllAtOnce)


class _Unlimited(MemorySessions):
    def delete_expired(self, *, at: datetime, limit: int) -> int:
        """Remove all that have expired."""
        return super().delete_expired(at=at, limit=10_000)


expired_sessions_go_all_at_once = repositories(sessions=_Unlimited)


class _EpochZero(MemoryCoherence):
    def read(self) -> CoherenceRecord:
        """Count from nought."""
        found = super().read()
        return replace(found, epoch=found.epoch - 1)


coherence_begins_with_epoch_zero = repositories(coherence=_EpochZero)


class _Uncompared(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Advance whatever the epoch is."""
        return super().advance(expected_epoch=self.read().epoch, cache_on=cache_on, cache=cache)


coherence_advances_without_comparing = repositories(coherence=_Uncompared)


class _Wishful(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Answer with what was asked for."""
        super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache)
        return CoherenceRecord(expected_epoch + 1, cache_on, cache)


coherence_answers_with_the_wish = repositories(coherence=_Wishful)


class _NamesNone(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Keep two of the three members."""
        return super().advance(expected_epoch=expected_epoch, cache_on=cache_on)


coherence_names_no_cache = repositories(coherence=_NamesNone)


class _NamesTheFirst(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Name a cache where none is named yet."""
        known = self.read().cache
        return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=known or cache)


coherence_names_the_first_cache_for_ever = repositories(coherence=_NamesTheFirst)


class _NamesTheLatest(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Name the cache whatever the epoch is."""
        if self.read().epoch == expected_epoch:
            return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache)
        state = self._view.writing()
        named = replace(state.coherence, cache=cache)
        self._view.stage(replace(state, coherence=named))
        return named


coherence_names_a_cache_without_comparing = repositories(coherence=_NamesTheLatest)


class _ShortColumn(MemoryCoherence):
    def advance(self, *, expected_epoch: int, cache_on: bool, cache: str = "") -> CoherenceRecord:
        """Keep what fits."""
        return super().advance(expected_epoch=expected_epoch, cache_on=cache_on, cache=cache[:64])


coherence_cuts_the_name_of_the_cache = repositories(coherence=_ShortColumn)


class _LoginsRemembered(MemoryUsers):
    def get(self, user_id: str) -> User | None:
        """Answer with a user as it was when first asked for."""
        found = super().get(user_id)
        return found and memory_of(self._view).setdefault(user_id, found)


user_lags_behind = repositories(users=_LoginsRemembered)
