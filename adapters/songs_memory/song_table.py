"""The songs of one state, with every index that reads need."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from immutables import Map

from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs_memory.search_index import StoredSong
from songs_memory.song_search import SongSearch
from songs_memory.sorted_ids import SortedIds


class FoundIds:
    """The ids that a search found, ascending."""

    __slots__ = ("_ids",)

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def page(self, *, limit: int, after_id: str | None = None, offset: int = 0) -> list[str]:
        """Return at most `limit` ids greater than `after_id`, without the first `offset` of these."""
        start = offset + (0 if after_id is None else bisect_right(self._ids, after_id))
        return self._ids[start : start + limit]


@dataclass(frozen=True, slots=True)
class Level:
    """The songs of one level, and the sum of their difficulties in thousandths."""

    ids: SortedIds = field(default_factory=SortedIds)
    sum_milli: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTable:
    """Songs by id, by identity, in order, by level and by artist. Immutable, as far as anyone can see."""

    search: SongSearch
    rows: Map[str, StoredSong] = field(default_factory=Map)
    identities: Map[SongIdentity, str] = field(default_factory=Map)
    order: SortedIds = field(default_factory=SortedIds)
    levels: Map[int, Level] = field(default_factory=Map)
    artists: Map[str, SortedIds] = field(default_factory=Map)
    sum_milli: int = 0

    def get(self, song_id: str) -> Song | None:
        """Return the song with this id, or None."""
        row = self.rows.get(song_id)
        return None if row is None else row.song

    def plus(self, songs: Iterable[Song]) -> Self:
        """Return the table with `songs` as well, whose ids and identities are all new to it and distinct."""
        new = sorted(songs, key=lambda song: song.id)
        rows = {song.id: StoredSong.of(song) for song in new}
        by_level: dict[int, list[Song]] = defaultdict(list)
        by_artist: dict[str, list[str]] = defaultdict(list)
        for row in rows.values():
            by_level[row.song.level].append(row.song)
            by_artist[row.artist_fold].append(row.song.id)
        all_rows = self.rows.update(rows)
        return type(self)(
            search=self.search.changed(list(rows.values()), all_rows),
            rows=all_rows,
            identities=self.identities.update({song.identity: song.id for song in new}),
            order=self.order.plus(list(rows)),
            levels=self.levels.update({level: self._level_with(level, group) for level, group in by_level.items()}),
            artists=self.artists.update(
                {artist: self.artists.get(artist, SortedIds()).plus(ids) for artist, ids in by_artist.items()}
            ),
            sum_milli=self.sum_milli + sum(song.difficulty_milli for song in new),
        )

    def minus(self, song: Song) -> Self:
        """Return the table without `song`, which is in it."""
        artist = self.rows[song.id].artist_fold
        level = self.levels[song.level]
        rows = self.rows.delete(song.id)
        rest = Level(level.ids.minus(song.id), level.sum_milli - song.difficulty_milli)
        of_artist = self.artists[artist].minus(song.id)
        return type(self)(
            search=self.search.changed((), rows),
            rows=rows,
            identities=self.identities.delete(song.identity),
            order=self.order.minus(song.id),
            levels=self.levels.set(song.level, rest) if rest.ids else self.levels.delete(song.level),
            artists=self.artists.set(artist, of_artist) if of_artist else self.artists.delete(artist),
            sum_milli=self.sum_milli - song.difficulty_milli,
        )

    def totals(self, level: int | None) -> DifficultyTotals:
        """Return the totals of a level, or of all songs, without counting."""
        if level is None:
            return DifficultyTotals(len(self.order), self.sum_milli)
        of_level = self.levels.get(level, Level())
        return DifficultyTotals(len(of_level.ids), of_level.sum_milli)

    def matching(self, song_filter: SongFilter) -> SortedIds | FoundIds:
        """Return the ids of the songs that meet the filter, ascending."""
        text, artist, level = song_filter.text, song_filter.artist, song_filter.level
        rows: Iterable[StoredSong]
        if artist is not None:
            of_artist = self.artists.get(artist, SortedIds())
            if text is None and level is None:
                return of_artist
            rows = (self.rows[song_id] for song_id in of_artist)
            if text is not None:
                rows = [row for row in rows if row.contains(text)]
        elif text is not None:
            rows = self.search.find(text, self.rows)
        else:
            return self.order if level is None else self.levels.get(level, Level()).ids
        if level is not None:
            rows = [row for row in rows if row.song.level == level]
        return FoundIds(sorted([row.song.id for row in rows]))

    def _level_with(self, level: int, songs: Sequence[Song]) -> Level:
        before = self.levels.get(level, Level())
        return Level(
            before.ids.plus([song.id for song in songs]),
            before.sum_milli + sum(song.difficulty_milli for song in songs),
        )
