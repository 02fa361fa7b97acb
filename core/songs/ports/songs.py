"""The songs of a storage."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter


@runtime_checkable
class SongRepository(Protocol):
    """The songs, within one unit of work.

    SNG-1: A song comes back equal to what was stored, member by member: every character that the model admits,
        every date from 0001-01-01 on, whatever the time zone of the machine.
    SNG-2: `get` returns the song or None. Any text is a permitted id; one that no song has is simply not there.
    SNG-3: At most one song is stored for each identity (artist, title, release date, compared exactly). `add` of a
        second one raises `DuplicateSong` and changes nothing.
    SNG-4: `add` is safe to repeat: an id that is stored already with this identity changes nothing and is no error; an
        id that is stored with another identity raises `DuplicateSong`.
    SNG-5: `add_many` adds each song or refuses it as `add` would, and returns the ids of those refused. Each song is
        atomic alone; when it raises, any of them may be stored, and calling it again completes the work.
    SNG-6: `replace` stores `song` if the stored version is `if_version`; `song.version` is ``if_version + 1``. It
        raises `SongNotFound`, `VersionConflict`, or `DuplicateSong` when another song has the new identity, the first
        of them that holds, and then changes nothing. Its ratings stay. Of concurrent calls with one `if_version` at
        most one succeeds.
    SNG-7: `replace` is safe to repeat: when the stored song equals `song` already, nothing changes and it is no error.
    SNG-8: `delete` removes the song together with its ratings, statistics and idempotency keys, if the version is
        `if_version` (None: whatever it is), and returns True; it returns False where there is no such song, and raises
        `VersionConflict` where the version is another. The identity is free again at once, and so are the id and the
        keys.
    SNG-9: `find` returns the songs that meet the filter, ordered by id as ASCII strings: at most `limit` of them, those
        with an id greater than `after_id` if given, without the first `offset` of these. Beyond the end it is empty.
    SNG-10: A walk (`find` again and again with the last id as `after_id`) returns every song that is there during the
        whole walk exactly once, and none twice, while others add, change and delete songs.
    SNG-11: A filter means what `songs.query.SongFilter` says, for every text: wildcards, quotes, escape and regular
        expression characters, combining marks and scripts without case are literal; one and two characters match too.
    SNG-12: `count` returns how many songs `find` would return for the filter without bounds, and `difficulty_totals`
        the number and exact sum over the songs of a level (None: all), both as of this unit of work.
    SNG-13: `identify` returns the songs that have these identities; identities that no song has are left out.
    SNG-14: `delete` does not take the longer the more ratings the song has: what is left of them is removed later, a
        batch at a time, and nobody sees it meanwhile: not under the id of another song, not by a key, not when killed
        in between, and `Maintenance.examine` finds nothing wrong with it.
    """

    def get(self, song_id: str) -> Song | None:
        """Return the song with this id, or None."""
        ...

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        """Return the songs with these identities, at most 1000 at a time."""
        ...

    def add(self, song: Song) -> None:
        """Store a new song with its empty statistics.

        Raises:
            DuplicateSong: Another song has its identity, or its id.
        """
        ...

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        """Store up to 1000 new songs; return the ids of those that were refused as duplicates."""
        ...

    def replace(self, song: Song, *, if_version: int) -> None:
        """Store the new state of a song.

        Raises:
            SongNotFound: No song has its id.
            VersionConflict: The stored version is not `if_version`.
            DuplicateSong: Another song has its identity.
        """
        ...

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        """Remove a song and everything that belongs to it; return whether it was there.

        Raises:
            VersionConflict: The stored version is not `if_version`.
        """
        ...

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        """Return songs that meet the filter, ordered by id."""
        ...

    def count(self, song_filter: SongFilter) -> int:
        """Return how many songs meet the filter."""
        ...

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        """Return the number of songs of a level (None: of all) and the sum of their difficulties."""
        ...
