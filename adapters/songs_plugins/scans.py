"""Searches and pages without an index, for storages that keep their songs in memory or look through all of them.

ids = beyond(sorted_ids, after_id)
found = page(matching((folded[each] for each in ids), song_filter), limit=limit, offset=offset)
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from songs.model import Song
from songs.query import SongFilter
from songs.text import fold
from songs_plugins.values import LARGEST_INT64, clamped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoldedSong:
    """A song with the folds of its artist and its title."""

    song: Song
    artist: str
    title: str

    @classmethod
    def of(cls, song: Song) -> Self:
        """Fold a song, which costs much more than comparing it."""
        return cls(song, fold(song.artist), fold(song.title))

    def meets(self, song_filter: SongFilter) -> bool:
        """Return whether the song meets every member of the filter that is not None (SNG-11)."""
        text, artist, level = song_filter.text, song_filter.artist, song_filter.level
        return (
            (level is None or level == self.song.level)
            and (artist is None or artist == self.artist)
            and (text is None or text in self.artist or text in self.title)
        )


def matching(songs: Iterable[FoldedSong], song_filter: SongFilter) -> Iterator[Song]:
    """Yield the songs that meet the filter, in the order in which they come."""
    return (each.song for each in songs if each.meets(song_filter))


def beyond(ids: Sequence[str], after_id: str | None) -> Iterator[str]:
    """Yield those of the sorted `ids` that are greater than `after_id`, if given; any text may be asked for."""
    start = 0 if after_id is None else bisect_right(ids, after_id)
    return (ids[at] for at in range(start, len(ids)))


def page(items: Iterable[T], *, limit: int, offset: int = 0) -> tuple[T, ...]:
    """Return at most `limit` items without the first `offset`; neither has bounds (SNG-9, RAT-9, USR-7)."""
    start = clamped(offset)
    return tuple(islice(items, start, clamped(start + clamped(limit), LARGEST_INT64)))
