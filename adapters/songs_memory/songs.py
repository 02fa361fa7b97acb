"""The song repository."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from songs.errors import DuplicateSong, SongNotFound, VersionConflict
from songs.model import DifficultyTotals, Song, SongIdentity
from songs.query import SongFilter
from songs_memory.search_index import FoundSongs
from songs_memory.song_table import SongTable
from songs_memory.sorted_items import SortedItems
from songs_memory.view import View


class MemorySongs:
    """The songs, within one unit of work."""

    __slots__ = ("_found", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        self._found: tuple[SongTable, SongFilter, SortedItems[Song] | FoundSongs] | None = None

    def get(self, song_id: str) -> Song | None:
        return self._view.reading().songs.get(song_id)

    def identify(self, identities: Collection[SongIdentity]) -> Mapping[SongIdentity, Song]:
        table = self._view.reading().songs
        ids = {identity: table.identities.get(identity) for identity in identities}
        return {identity: table.rows[song_id].song for identity, song_id in ids.items() if song_id is not None}

    def add(self, song: Song) -> None:
        if self.add_many((song,)):
            raise DuplicateSong

    def add_many(self, songs: Sequence[Song]) -> frozenset[str]:
        state = self._view.writing()
        new, refused = _sorted_out(state.songs, songs)
        if new:
            self._view.stage(replace(state, songs=state.songs.plus(new)))
        return refused

    def replace(self, song: Song, *, if_version: int) -> None:
        state = self._view.writing()
        stored = state.songs.get(song.id)
        if stored is None:
            raise SongNotFound
        if stored == song:
            return
        if stored.version != if_version:
            raise VersionConflict
        if state.songs.identities.get(song.identity, song.id) != song.id:
            raise DuplicateSong
        self._view.stage(replace(state, songs=state.songs.minus(stored).plus((song,))))

    def delete(self, song_id: str, *, if_version: int | None = None) -> bool:
        state = self._view.writing()
        stored = state.songs.get(song_id)
        if stored is None:
            return False
        if if_version is not None and stored.version != if_version:
            raise VersionConflict
        self._view.stage(replace(state, songs=state.songs.minus(stored), ratings=state.ratings.minus_song(song_id)))
        return True

    def find(
        self, song_filter: SongFilter, *, limit: int, after_id: str | None = None, offset: int = 0
    ) -> tuple[Song, ...]:
        table = self._view.reading().songs
        return tuple(self._matching(table, song_filter).page(limit=limit, after_id=after_id, offset=offset))

    def count(self, song_filter: SongFilter) -> int:
        return len(self._matching(self._view.reading().songs, song_filter))

    def difficulty_totals(self, level: int | None = None) -> DifficultyTotals:
        return self._view.reading().songs.totals(level)

    def _matching(self, table: SongTable, song_filter: SongFilter) -> SortedItems[Song] | FoundSongs:
        # A page is found and then counted: the second call of the two needs no second search.
        found = self._found
        if found is None or found[0] is not table or found[1] != song_filter:
            self._found = found = (table, song_filter, table.matching(song_filter))
        return found[2]


def _sorted_out(table: SongTable, songs: Sequence[Song]) -> tuple[list[Song], frozenset[str]]:
    """Return the songs to store, and the ids of those that are refused; the rest is stored already."""
    new: dict[str, Song] = {}
    taken: set[SongIdentity] = set()
    refused: set[str] = set()
    for song in songs:
        identity = song.identity
        same_id = new.get(song.id) or table.get(song.id)
        if same_id is not None:
            if same_id.identity != identity:
                refused.add(song.id)
        elif identity in taken or identity in table.identities:
            refused.add(song.id)
        else:
            new[song.id] = song
            taken.add(identity)
    return list(new.values()), frozenset(refused)
