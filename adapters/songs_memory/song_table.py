"""The songs of one state, with every index that reads need."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Self

from immutables import Map

from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs_memory.search_index import FoundSongs, StoredSong
from songs_memory.song_search import SongSearch
from songs_memory.sorted_items import SortedItems

_song_id = attrgetter("id")
_NONE: Final = SortedItems[Song](_song_id)


@dataclass(frozen=True, slots=True)
class Level:
    """The songs of one level, and the sum of their difficulties in thousandths."""

    songs: SortedItems[Song] = _NONE
    sum_milli: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTable:
    """Songs by id, by identity, in order, by level and by artist. Immutable, as far as anyone can see."""

    search: SongSearch
    rows: Map[str, StoredSong] = field(default_factory=Map)
    identities: Map[SongIdentity, str] = field(default_factory=Map)
    order: SortedItems[Song] = _NONE
    levels: Map[int, Level] = field(default_factory=Map)
    artists: Map[str, SortedItems[Song]] = field(default_factory=Map)
    sum_milli: int = 0

    def get(self, song_id: str) -> Song | None:
        """Return the song with this id, or None."""
        row = self.rows.get(song_id)
        return None if row is None else row.song

    def plus(self, songs: Iterable[Song]) -> Self:
        """Return the table with `songs` as well, whose ids and identities are all new to it and distinct."""
        new = sorted(songs, key=_song_id)
        rows = {song.id: StoredSong.of(song) for song in new}
        by_level: dict[int, list[Song]] = defaultdict(list)
        by_artist: dict[str, list[Song]] = defaultdict(list)
        for row in rows.values():
            by_level[row.song.level].append(row.song)
            by_artist[row.artist_fold].append(row.song)
        all_rows = self.rows.update(rows)
        return type(self)(
            search=self.search.changed(list(rows.values()), all_rows),
            rows=all_rows,
            identities=self.identities.update({song.identity: song.id for song in new}),
            order=self.order.plus(new),
            levels=self.levels.update({level: self._level_with(level, group) for level, group in by_level.items()}),
            artists=self.artists.update(
                {artist: self.artists.get(artist, _NONE).plus(group) for artist, group in by_artist.items()}
            ),
            sum_milli=self.sum_milli + sum(song.difficulty_milli for song in new),
        )

    def minus(self, song: Song) -> Self:
        """Return the table without `song`, which is in it."""
        artist = self.rows[song.id].artist_fold
        level = self.levels[song.level]
        rows = self.rows.delete(song.id)
        rest = Level(level.songs.minus(song), level.sum_milli - song.difficulty_milli)
        of_artist = self.artists[artist].minus(song)
        return type(self)(
            search=self.search.changed((), rows),
            rows=rows,
            identities=self.identities.delete(song.identity),
            order=self.order.minus(song),
            levels=self.levels.set(song.level, rest) if rest.songs else self.levels.delete(song.level),
            artists=self.artists.set(artist, of_artist) if of_artist else self.artists.delete(artist),
            sum_milli=self.sum_milli - song.difficulty_milli,
        )

    def totals(self, level: int | None) -> DifficultyTotals:
        """Return the totals of a level, or of all songs, without counting."""
        if level is None:
            return DifficultyTotals(len(self.order), self.sum_milli)
        of_level = self.levels.get(level, Level())
        return DifficultyTotals(len(of_level.songs), of_level.sum_milli)

    def matching(self, song_filter: SongFilter) -> SortedItems[Song] | FoundSongs:
        """Return the songs that meet the filter, ordered by id."""
        text, artist, level = song_filter.text, song_filter.artist, song_filter.level
        rows: Iterable[StoredSong]
        if artist is not None:
            of_artist = self.artists.get(artist, _NONE)
            if text is None and level is None:
                return of_artist
            rows = (self.rows[song.id] for song in of_artist)
            if text is not None:
                rows = [row for row in rows if row.contains(text)]
        elif text is not None:
            rows = found = self.search.find(text, self.rows)
            if level is None:
                return found
        else:
            return self.order if level is None else self.levels.get(level, Level()).songs
        if level is not None:
            rows = [row for row in rows if row.song.level == level]
        return FoundSongs.of(rows)

    def _level_with(self, level: int, songs: Sequence[Song]) -> Level:
        before = self.levels.get(level, Level())
        return Level(
            before.songs.plus(songs),
            before.sum_milli + sum(song.difficulty_milli for song in songs),
        )
