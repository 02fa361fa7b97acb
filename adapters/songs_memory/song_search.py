"""The search of one state: an index, and while too much of that is out of date, the one that takes its place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from immutables import Map

from songs_memory.search_index import FoundSongs, SearchIndex, StoredSong

SLACK: Final = 1_000
"""How many rows that are out of date an index may have beyond as many as there are songs."""
MOVED_AT_ONCE: Final = 4
"""How many rows move to the next index with each row that is added or removed."""

Rows = Map[str, StoredSong]
"""The current row of each song, by its id."""


@dataclass(frozen=True, slots=True)
class SongSearch:
    """Finds the songs of one state. Immutable, but its indexes grow; they contain every song of the state, and more.

    A changed song is a new row, and the old one stays in the index, which is shared with states that still need it. So
    now and then a new index has to be made, a little with each write: at a million songs it would take many seconds.
    How far that is belongs to the state; a unit that is rolled back leaves the next index too full, never too empty.
    """

    index: SearchIndex
    following: SearchIndex | None = None
    moved: int = 0
    until: int = 0

    def changed(self, added: Sequence[StoredSong], rows: Rows) -> Self:
        """Return the search after a change.

        Args:
            added: The rows that are new.
            rows: All rows after the change.
        """
        self.index.add(added)
        if self.following is not None:
            self.following.add(added)
            return self._moved_on(self.following, max(1, len(added)), rows)
        if len(self.index) <= 2 * len(rows) + SLACK:
            return self
        # What was added is in the old index by now and moves with the rest.
        return replace(self, following=SearchIndex(self.index.index_from), moved=0, until=len(self.index))

    def find(self, text: str, rows: Rows) -> FoundSongs:
        """Return those of `rows`, the state's, in whose artist or title the folded `text` is contained."""
        found = self.index.matches(text)
        if len(self.index) == len(rows):
            return found  # the index contains them all, so it contains nothing else
        # By identity: a song that was changed is another row. A row that was moved is in the index twice.
        return FoundSongs.of({id(row): row for row in found if rows.get(row.song.id) is row}.values())

    def _moved_on(self, following: SearchIndex, steps: int, rows: Rows) -> Self:
        end = min(self.until, self.moved + steps * MOVED_AT_ONCE)
        following.add([row for row in self.index.rows(self.moved, end) if rows.get(row.song.id) is row])
        return type(self)(following) if end == self.until else replace(self, moved=end)
