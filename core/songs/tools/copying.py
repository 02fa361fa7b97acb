"""Copying one storage into another: songs, ratings and users, with their ids, times and keys.

Sessions are left out: everyone signs in again. So is the coherence record, which describes a cache and not the data.
The target's record is advanced at the end, so that no cache shows the former contents, even if the target is served.

1. Check: every record of the target must be equal to the source's. Otherwise nothing is written, as the target holds
   data of another source.
2. Copy: records that the target lacks are added. Each write is safe to repeat, so running an interrupted copy again
   completes it.
3. Verify: both storages are compared. Changes in the source during the copy show here.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar

from songs.application.runner import UnitRunner, Work
from songs.caching.coherence import Coherence
from songs.errors import Conflict, KeyReused, SongNotFound, SongsError, StorageUnavailable, UserExists
from songs.model import Rating, Song, User
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Scope
from songs.tools.comparing import (
    SONGS_AT_ONCE,
    UNIT_DEADLINE_S,
    Comparison,
    HasId,
    StorageReader,
    Tally,
    beside,
    chunks,
    compare,
    difference,
    naming,
)

RATINGS_AT_ONCE: Final = 500
"""The number of ratings that one transaction adds, if the target has transactions."""

T = TypeVar("T")
A = TypeVar("A", bound=HasId)


class Stage(StrEnum):
    """The stages of a copy."""

    CHECKING = "checking the target"
    COPYING = "copying"
    VERIFYING = "verifying"


Progress = Callable[[Stage, Tally], None]
"""Called with the number of records that the stage has processed so far."""


class TargetNotACopy(Conflict):
    """The target holds records that the source does not; nothing was written."""

    code = "copy_target_holds_other_data"
    summary = "The target of the copy holds data that is not the source's."


class CopyInterrupted(SongsError):
    """A storage failed during the copy. Running the copy again completes it."""

    code = "copy_interrupted"
    summary = "The copy was interrupted; run it again to complete it."


@dataclass(slots=True)
class CopyReport:
    """The results of a copy: records found in the target, records added, and the comparison of both storages."""

    found: Tally = field(default_factory=Tally)
    added: Tally = field(default_factory=Tally)
    verified: Comparison = field(default_factory=Comparison)


class Copier:
    """Copies one storage into another.

    Args:
        source: Reads the source.
        target: Reads the target.
        runner: Writes to the target.
        coherence: The target's coherence: makes the writes visible through any cache.
        clock: For the deadline of each unit.
        transactions: Whether the target has transactions: then many ratings are added in one, which is faster.
    """

    def __init__(
        self,
        source: StorageReader,
        target: StorageReader,
        runner: UnitRunner,
        coherence: Coherence,
        clock: Clock,
        *,
        transactions: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._runner = runner
        self._coherence = coherence
        self._clock = clock
        self._transactions = transactions

    def run(self, progress: Progress = lambda _stage, _tally: None) -> CopyReport:
        """Check, copy, verify.

        Raises:
            TargetNotACopy: The target holds records that the source does not; nothing was written.
            StorageUnavailable: A storage does not respond; nothing was written.
            CopyInterrupted: A storage stopped responding; some of the records may be written.
        """
        report = CopyReport()
        self._check(report.found, progress)
        stage = Stage.COPYING
        try:
            beyond = self._source.coherence().epoch
            try:
                self._copy(report.added, progress)
                beyond = self._source.coherence().epoch
            finally:
                # Records that an interrupted copy added may be read as well.
                self._outdate_caches(beyond)
            stage = Stage.VERIFYING
            report.verified = compare(self._source, self._target, lambda tally: progress(Stage.VERIFYING, tally))
        except StorageUnavailable as error:
            msg = f"the copy stopped while {stage}, with {report.added} added: {error.detail}"
            raise CopyInterrupted(f"{msg} Run it again to complete it.") from error
        return report

    def _check(self, found: Tally, progress: Progress) -> None:
        progress(Stage.CHECKING, found)
        for user, original in beside(self._target.users(), self._source.users()):
            self._refuse_unless_equal("user", original, user)
            found.users += 1
        for chunk in chunks(beside(self._target.songs(), self._source.songs()), SONGS_AT_ONCE):
            for theirs, ours in chunk:
                self._refuse_unless_equal("song", ours, theirs)
            found.songs += len(chunk)
            found.ratings += self._check_ratings([theirs.id for theirs, _ in chunk])
            progress(Stage.CHECKING, found)

    def _check_ratings(self, song_ids: Sequence[str]) -> int:
        stats = self._target.stats(song_ids)
        rated = [song_id for song_id, reported in stats.items() if reported is not None and reported.count]
        ours, theirs = self._source.ratings(rated), self._target.ratings(rated)
        count = 0
        for song_id in rated:
            for copied, original in beside(theirs[song_id], ours[song_id]):
                self._refuse_unless_equal("rating", original, copied)
                count += 1
        return count

    def _refuse_unless_equal(self, kind: str, ours: A | None, theirs: A) -> None:
        line = difference(kind, ours, theirs, self._target.name)
        if line is not None:
            advice = "Copy into an empty storage, or go on with a copy whose source was not changed since."
            raise TargetNotACopy(f"{line}; nothing was written. {advice}")

    def _copy(self, added: Tally, progress: Progress) -> None:
        progress(Stage.COPYING, added)
        for user, copied in beside(self._source.users(), self._target.users()):
            if copied is None:
                # The name may have been taken meanwhile; the user is then reported as missing at the end.
                with suppress(UserExists):
                    self._write(_adding_user(user))
                    added.users += 1
        done = Tally(users=added.users)
        for chunk in chunks(beside(self._source.songs(), self._target.songs()), SONGS_AT_ONCE):
            self._copy_songs(chunk, added)
            done.songs += len(chunk)
            done.ratings = added.ratings
            progress(Stage.COPYING, done)

    def _copy_songs(self, chunk: Sequence[tuple[Song, Song | None]], added: Tally) -> None:
        new = [ours for ours, theirs in chunk if theirs is None]
        refused: frozenset[str] = self._write(lambda unit: unit.songs.add_many(new)) if new else frozenset()
        added.songs += len(new) - len(refused)
        # A song that differs in the target by now gets no ratings; it is reported at the end.
        fitting = [o.id for o, theirs in chunk if theirs == o or (theirs is None and o.id not in refused)]
        theirs_of = self._target.ratings([theirs.id for _, theirs in chunk if theirs is not None])
        missing = (
            rating
            for song_id, ratings in self._source.ratings(fitting).items()
            for rating, copied in beside(ratings, theirs_of.get(song_id, ()))
            if copied is None
        )
        for batch in chunks(missing, RATINGS_AT_ONCE):
            added.ratings += self._add_ratings(batch)

    def _add_ratings(self, batch: Sequence[Rating]) -> int:
        """Add ratings that the target lacks; return the number added. The others are reported as missing at the end."""
        if self._transactions:
            with suppress(SongNotFound, KeyReused):
                return self._write(_adding_ratings(batch), Scope.WRITE_MANY)
        added = 0
        for each in batch:
            with suppress(SongNotFound, KeyReused):
                added += self._write(_adding_ratings([each]))
        return added

    def _outdate_caches(self, beyond: int) -> None:
        """Move the target's epoch beyond both: nothing that a cache holds of either is taken for the target's now."""
        with naming(self._target.name):
            self._coherence.outdate(beyond=beyond)

    def _write(self, work: Work[T], scope: Scope = Scope.WRITE_ONE) -> T:
        with naming(self._target.name):
            return self._runner.write(work, deadline=Deadline.after(self._clock, UNIT_DEADLINE_S), scope=scope)


def _adding_user(user: User) -> Work[None]:
    return lambda unit: unit.users.add(user)


def _adding_ratings(ratings: Sequence[Rating]) -> Work[int]:
    return lambda unit: sum(unit.ratings.add(rating).rating_id == rating.id for rating in ratings)
