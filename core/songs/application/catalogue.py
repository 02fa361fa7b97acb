"""The catalogue: reading, searching and editing songs."""

from collections.abc import Callable
from typing import Final

from songs.application.changes import CATALOGUE, Changes, song_group, stats_group
from songs.application.cursors import Cursors
from songs.application.runner import UnitRunner
from songs.errors import FieldError, InvalidInput, OutcomeUnknown, SongNotFound, UseCursor, VersionConflict
from songs.limits import MAX_COUNTED_ITEMS, is_id
from songs.model import DifficultyTotals, Song, SongDetails
from songs.ports.clock import Deadline
from songs.ports.ids import IdGenerator
from songs.ports.storage import UnitOfWork
from songs.query import PageNumber, SongFilter, SongPage, Walk
from songs.text import fold

MAX_FOLDED: Final = 4096


def folded(pointer: str, text: str) -> str:
    """Return the fold of something to search for.

    Raises:
        InvalidInput: Nothing is left to search for, or too much.
    """
    result = fold(text) if len(text) <= MAX_FOLDED else text
    if len(result) > MAX_FOLDED:
        raise InvalidInput([FieldError(pointer, "is too long to search for")])
    if not result:
        raise InvalidInput([FieldError(pointer, "must contain at least one character that can be matched")])
    return result


class Catalogue:
    """Reads and edits songs.

    Every method raises `songs.errors.Unavailable` (or a child of it) when the storage does not answer in time.
    """

    def __init__(self, runner: UnitRunner, changes: Changes, ids: IdGenerator, cursors: Cursors) -> None:
        self._runner = runner
        self._changes = changes
        self._ids = ids
        self._cursors = cursors

    def get(self, song_id: str, *, deadline: Deadline) -> Song:
        """Return a song.

        Raises:
            SongNotFound: There is none with this id, or it is not the form of an id.
        """
        if not is_id(song_id):
            raise SongNotFound
        song = self._runner.read(lambda unit: unit.songs.get(song_id), deadline=deadline)
        if song is None:
            raise SongNotFound
        return song

    def page(self, song_filter: SongFilter, which: PageNumber | Walk, *, deadline: Deadline) -> SongPage:
        """Return one page of the songs that meet the filter, ordered by id.

        Raises:
            UseCursor: The page reaches beyond the first 100,000 songs.
            BadCursor: The cursor is not one of this filter.
        """
        after_id, offset = None, 0
        if isinstance(which, PageNumber):
            offset = (which.number - 1) * which.size
            if offset + which.size > MAX_COUNTED_ITEMS:
                raise UseCursor
        elif which.cursor:
            after_id = self._cursors.decode(which.cursor, song_filter)

        def work(unit: UnitOfWork) -> tuple[tuple[Song, ...], int | None]:
            found = unit.songs.find(song_filter, limit=which.size + 1, after_id=after_id, offset=offset)
            if not isinstance(which, PageNumber):
                return found, None
            if 0 < len(found) <= which.size:
                return found, offset + len(found)  # the last page: counting again would find the same
            return found, unit.songs.count(song_filter)

        found, total = self._runner.read(work, deadline=deadline)
        songs = found[: which.size]
        more = len(found) > which.size
        return SongPage(
            songs=songs,
            page=which.number if isinstance(which, PageNumber) else None,
            page_size=which.size,
            total=total,
            next_cursor=self._cursors.encode(songs[-1].id, song_filter) if more else None,
        )

    def difficulty(self, level: int | None, *, deadline: Deadline) -> DifficultyTotals:
        """Return the number and the sum of difficulties of the songs of a level, or of all."""
        return self._runner.read(lambda unit: unit.songs.difficulty_totals(level), deadline=deadline)

    def add(self, details: SongDetails, *, deadline: Deadline) -> Song:
        """Store a new song and return it.

        Raises:
            DuplicateSong: There is one with the same artist, title and release date.
        """
        song = Song(id=self._ids.new_id(), details=details)
        after_commit = self._after_commit(song.id)
        self._runner.write(lambda unit: unit.songs.add(song), deadline=deadline, after_commit=after_commit)
        return song

    def change(
        self,
        song_id: str,
        edit: Callable[[SongDetails], SongDetails],
        *,
        if_version: int | None = None,
        deadline: Deadline,
    ) -> Song:
        """Apply `edit` to the song's details, store the result and return the song.

        Args:
            song_id: The song.
            edit: Called with the stored details, again if another writer came between.
            if_version: The version that the caller saw; None accepts any.
            deadline: The request's.

        Raises:
            SongNotFound: There is no such song.
            VersionConflict: The stored version is not `if_version`.
            DuplicateSong: Another song has the new artist, title and release date.
            InvalidInput: `edit` refused the change.
            OutcomeUnknown: The storage did not confirm the change, and others changed the song since.
        """
        while True:
            before = self.get(song_id, deadline=deadline)
            expected = before.version if if_version is None else if_version
            after = Song(id=song_id, details=edit(before.details), version=expected + 1)
            maybe_made: list[Song] = []
            try:
                self._replace(after, expected, deadline, maybe_made)
            except VersionConflict as conflict:
                if if_version is None:
                    deadline.check()
                elif maybe_made and self.get(song_id, deadline=deadline).version > after.version:
                    # Did this call write the version after the one that the caller saw, or did another?
                    raise OutcomeUnknown from conflict
                else:
                    raise
            else:
                return after

    def remove(self, song_id: str, *, if_version: int | None = None, deadline: Deadline) -> None:
        """Remove a song with its ratings.

        Raises:
            SongNotFound: There is no such song.
            VersionConflict: The stored version is not `if_version`.
        """
        if not is_id(song_id):
            raise SongNotFound
        asked = False

        def work(unit: UnitOfWork) -> bool:
            nonlocal asked
            again, asked = asked, True
            # When an earlier attempt may have removed it, its absence now is what was asked for.
            return unit.songs.delete(song_id, if_version=if_version) or again

        if not self._runner.write(work, deadline=deadline, after_commit=self._after_commit(song_id)):
            raise SongNotFound

    def _replace(self, song: Song, if_version: int, deadline: Deadline, maybe_made: list[Song]) -> None:
        def after_commit() -> None:
            maybe_made.append(song)
            self._after_commit(song.id)()

        self._runner.write(
            lambda unit: unit.songs.replace(song, if_version=if_version), deadline=deadline, after_commit=after_commit
        )

    def _after_commit(self, song_id: str) -> Callable[[], None]:
        return lambda: self._changes.publish_write((CATALOGUE, song_group(song_id), stats_group(song_id)))
