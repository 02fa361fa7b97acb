"""The search of one state: an index, and while too much of that is out of date, the one that takes its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from songs_memory.search_index import SearchIndex, StoredSong

SLACK: Final = 1_000
"""How many rows that are out of date an index may have beyond as many as there are songs."""
MOVED_AT_ONCE: Final = 4
"""How many rows move to the next index with each row that is added or removed."""

IsCurrent = Callable[[StoredSong], bool]


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

    def changed(self, added: Sequence[StoredSong], is_current: IsCurrent, song_count: int) -> Self:
        """Return the search after a change.

        Args:
            added: The rows that are new.
            is_current: Whether a row is one of the table after the change.
            song_count: How many rows that table has.
        """
        self.index.add(added)
        if self.following is not None:
            self.following.add(added)
            return self._moved_on(self.following, max(1, len(added)), is_current)
        if len(self.index) <= 2 * song_count + SLACK:
            return self
        # What was added is in the old index by now and moves with the rest.
        return replace(self, following=SearchIndex(self.index.index_from), moved=0, until=len(self.index))

    def find(self, text: str, is_current: IsCurrent) -> list[StoredSong]:
        """Return the current rows in whose artist or title the folded `text` is contained; some may come twice."""
        return [row for row in self.index.matches(text) if is_current(row)]

    def _moved_on(self, following: SearchIndex, steps: int, is_current: IsCurrent) -> Self:
        end = min(self.until, self.moved + steps * MOVED_AT_ONCE)
        following.add([row for row in self.index.rows(self.moved, end) if is_current(row)])
        return type(self)(following) if end == self.until else replace(self, moved=end)
