"""The songs."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from songs.errors import DuplicateSong
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs_jsonfile.changes import Put, Remove
from songs_jsonfile.state import State
from songs_plugins.decisions import check_version, replaceable, sort_out
from songs_plugins.values import clamped

if TYPE_CHECKING:
    from songs_jsonfile.unit import Unit


class JsonFileSongs:
    """The songs, in one unit of work."""

    def __init__(self, unit: "Unit") -> None:
        self._unit = unit

    def get(self, song_id: str) -> Song | None:
        with self._unit.read() as state:
            return state.songs.get(song_id)

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        with self._unit.read() as state:
            return {each: state.songs[state.identities[each]] for each in identities if each in state.identities}

    def add(self, song: Song) -> None:
        if self.add_many((song,)):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        with self._unit.write() as state:
            stored = {each.id: state.songs[each.id].identity for each in songs if each.id in state.songs}
            new, refused = sort_out([(each, each.identity) for each in songs], stored=stored, taken=state.identities)
            if new:
                self._unit.record(Put(tuple(new)))
            return refused

    def replace(self, song: Song, *, if_version: int) -> None:
        with self._unit.write() as state:
            if replaceable(state.songs.get(song.id), song, if_version=if_version) is None:
                return
            if state.identities.get(song.identity, song.id) != song.id:
                raise DuplicateSong
            self._unit.record(Put((song,)))

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        with self._unit.write() as state:
            stored = state.songs.get(song_id)
            if stored is None:
                return False
            check_version(stored.version, if_version)
            self._unit.record(Remove(Song, (song_id,)))
            return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        with self._unit.read() as state:
            return tuple(islice(islice(_matching(state, song_filter, after_id), clamped(offset), None), clamped(limit)))

    def count(self, song_filter: SongFilter) -> int:
        with self._unit.read() as state:
            return sum(1 for _ in _matching(state, song_filter))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        with self._unit.read() as state:
            found = [song.difficulty_milli for song in _matching(state, SongFilter(level=level))]
            return DifficultyTotals(len(found), sum(found))


def _matching(state: State, wanted: SongFilter, after_id: str | None = None) -> Iterator[Song]:
    """Yield the songs that meet a filter, ordered by id: a scan of all of them."""
    start = 0 if after_id is None else bisect_right(state.order, after_id)
    for song_id in islice(state.order, start, None):
        song = state.songs[song_id]
        artist, title = state.folds[song_id]
        if (
            (wanted.level is None or wanted.level == song.level)
            and (wanted.artist is None or wanted.artist == artist)
            and (wanted.text is None or wanted.text in artist or wanted.text in title)
        ):
            yield song
