"""Finding songs by substring: scanned while they are few, and by an index of words from then on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from songs.model import Song
from songs.text import fold
from songs_memory.word_index import WordIndex

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


class SearchIndex:
    """Every stored song of some state, and more: songs of other states, and what writers took back.

    It only grows, and all states share it: whoever asks checks what it finds against a state. One writer at a time
    adds, before it publishes the state that needs the addition; readers never wait.

    Args:
        index_from: From how many songs on words are kept.
    """

    def __init__(self, index_from: int = INDEX_FROM) -> None:
        self.index_from = index_from
        self._rows: list[StoredSong] = []
        self._words: WordIndex | None = None

    def __len__(self) -> int:
        """Return how many rows were added."""
        return len(self._rows)

    def add(self, rows: Sequence[StoredSong]) -> None:
        """Take in `rows`."""
        first = len(self._rows)
        self._rows.extend(rows)
        if self._words is not None:
            _note(self._words, rows, first)
        elif len(self._rows) >= self.index_from:
            words = WordIndex()
            _note(words, self._rows, 0)
            self._words = words

    def rows(self, start: int, end: int) -> list[StoredSong]:
        """Return the rows from `start` to before `end`, in the order in which they were added."""
        return self._rows[start:end]

    def matches(self, text: str) -> list[StoredSong]:
        """Return the rows in whose artist or title the folded `text` is contained, in no order."""
        if _SEPARATOR in text:
            return []
        rows = self._rows
        numbers = None if self._words is None else self._words.rows(text)
        if numbers is None:
            return [row for row in rows if text in row.folded]
        found = [rows[number] for number in numbers]
        return found if text.split() == [text] else [row for row in found if text in row.folded]


def _note(words: WordIndex, rows: Iterable[StoredSong], first: int) -> None:
    for number, row in enumerate(rows, start=first):
        words.add(number, row.folded)
