"""Reads of many records at once, which a unit of work may offer beside its repositories."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from songs.model import Rating, RatingStats, Song, User
from songs.ports.storage import UnitOfWork
from songs.query import SongFilter


@dataclass(frozen=True, slots=True)
class RatedSong:
    """The statistics of a song and its first ratings, ordered by id."""

    stats: RatingStats
    ratings: tuple[Rating, ...]


@runtime_checkable
class Batches(Protocol):
    """Reads of up to 100 records at once, within one unit of work: an ability of storages that answer over a network.

    `songs doctor` and `songs copy`, which read every record, ask for a batch where there is such an object, and else
    for one record after another, as `songs.one_by_one` does: right for a storage in this process.

    BAT-1: `songs`, `users` and `users_named` return what `SongRepository.get`, `UserRepository.get` and
        `UserRepository.by_name` return for each of these ids or names, by that id or name. What is not there is left
        out; any text is permitted.
    BAT-2: `meeting` returns those of these pairs of a song's id and a filter for which `SongRepository.find` returns
        the song.
    BAT-3: `rated` returns for each of these songs what `RatingRepository.stats` and `of_song` with this `limit` return,
        both of one moment. Songs that are not there are left out; with a `limit` of 0 no ratings are read.
    BAT-4: The backend is not asked more often for a hundred records than for ten: for `meeting` as often as there
        are filters for one song, for `rated` once more for each song that has more ratings than `limit`.
    """

    def songs(self, song_ids: Collection[str]) -> Mapping[str, Song]:
        """Return the songs with these ids, by id."""
        ...

    def meeting(self, pairs: Collection[tuple[str, SongFilter]]) -> frozenset[tuple[str, SongFilter]]:
        """Return those of these pairs of a song's id and a filter in which the song meets the filter."""
        ...

    def rated(self, song_ids: Collection[str], *, limit: int) -> Mapping[str, RatedSong]:
        """Return the statistics of each of these songs with its first `limit` ratings, by the song's id."""
        ...

    def users(self, user_ids: Collection[str]) -> Mapping[str, User]:
        """Return the users with these ids, by id."""
        ...

    def users_named(self, names: Collection[str]) -> Mapping[str, User]:
        """Return the users who are found by these names, by the name that was asked for."""
        ...


@runtime_checkable
class BatchingUnit(UnitOfWork, Protocol):
    """A unit of work that offers it."""

    @property
    def batches(self) -> Batches:
        """Reads of many records at once."""
        ...
