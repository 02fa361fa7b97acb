"""Finding songs by substring: scanned while they are few, and by trigrams from then on."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from songs.model import Song
from songs.text import fold, trigrams

INDEX_FROM: Final = 1_000
"""At this many songs a scan takes about as long as the rest of a request; below, an index is not worth its memory."""

_SEPARATOR: Final = "\n"  # neither the model's texts nor their folds contain it, so no match can reach across


@dataclass(frozen=True, slots=True)
class StoredSong:
    """A song with its folded artist and title in one string: one substring test instead of two."""

    song: Song
    folded: str

    @classmethod
    def of(cls, song: Song) -> Self:
        """Return `song`, folded."""
        return cls(song, fold(song.artist) + _SEPARATOR + fold(song.title))

    @property
    def artist_fold(self) -> str:
        """The fold of the artist."""
        return self.folded.partition(_SEPARATOR)[0]

    def contains(self, text: str) -> bool:
        """Return whether the folded `text` is contained in the artist or in the title."""
        return text in self.folded and _SEPARATOR not in text

    @property
    def trigrams(self) -> frozenset[str]:
        """The trigrams of artist and title."""
        artist, _, title = self.folded.partition(_SEPARATOR)
        return trigrams(artist) | trigrams(title)


class SearchIndex:
    """Every stored song of some state, and more: songs of other states, and what writers took back.

    It only grows, and all states share it: whoever asks checks what it finds against a state. One writer at a time
    adds, before it publishes the state that needs the addition; readers never wait.

    Args:
        index_from: From how many songs on trigrams are kept.
    """

    def __init__(self, index_from: int = INDEX_FROM) -> None:
        self.index_from = index_from
        self._rows: list[StoredSong] = []
        self._postings: dict[str, array[int]] | None = None

    def __len__(self) -> int:
        """Return how many rows were added."""
        return len(self._rows)

    def add(self, rows: Sequence[StoredSong]) -> None:
        """Take in `rows`."""
        first = len(self._rows)
        self._rows.extend(rows)
        if self._postings is not None:
            _note(self._postings, rows, first)
        elif len(self._rows) >= self.index_from:
            postings: dict[str, array[int]] = {}
            _note(postings, self._rows, 0)
            self._postings = postings

    def rows(self, start: int, end: int) -> list[StoredSong]:
        """Return the rows from `start` to before `end`, in the order in which they were added."""
        return self._rows[start:end]

    def matches(self, text: str) -> list[StoredSong]:
        """Return the rows in whose artist or title the folded `text` is contained, in no order."""
        if _SEPARATOR in text:
            return []
        return [row for row in self._candidates(text) if text in row.folded]

    def _candidates(self, text: str) -> Iterable[StoredSong]:
        wanted = trigrams(text)
        if self._postings is None or not wanted:
            return self._rows
        found = [self._postings.get(trigram) for trigram in wanted]
        lists = [numbers for numbers in found if numbers is not None]
        if len(lists) < len(found):
            return ()
        # Testing the few rows of the rarest trigram costs less than intersecting its list with the longer ones.
        rows = self._rows
        return [rows[number] for number in min(lists, key=len)]


def _note(postings: dict[str, "array[int]"], rows: Iterable[StoredSong], first: int) -> None:
    for number, row in enumerate(rows, start=first):
        for trigram in row.trigrams:
            numbers = postings.get(trigram)
            if numbers is None:
                postings[trigram] = array("I", (number,))
            else:
                numbers.append(number)
