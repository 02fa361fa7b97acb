"""Finding songs by substring: scanned while they are few, and by an index of words from then on."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Self

from songs.model import Song
from songs.text import fold
from songs_memory.word_index import WordIndex

INDEX_FROM: Final = 1_000
"""At this many songs a scan takes about as long as the rest of a request; below, an index is not worth its memory."""

_SEPARATOR: Final = "\n"  # neither the model's texts nor their folds contain it, so no match can reach across
_song_id = attrgetter("song.id")


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


class FoundSongs:
    """Rows ordered by the ids of their songs. Only those that are asked for are looked at.

    Args:
        rows: The rows, and perhaps others.
        numbers: Where they are among `rows`, in their order.
    """

    __slots__ = ("_numbers", "_rows")

    def __init__(self, rows: Sequence[StoredSong], numbers: Sequence[int]) -> None:
        self._rows = rows
        self._numbers = numbers

    @classmethod
    def of(cls, rows: Iterable[StoredSong]) -> Self:
        """Return `rows`, ordered."""
        ordered = sorted(rows, key=_song_id)
        return cls(ordered, range(len(ordered)))

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[StoredSong]:
        return map(self._rows.__getitem__, self._numbers)

    def page(self, *, limit: int, after_id: str | None = None, offset: int = 0) -> list[Song]:
        """Return at most `limit` songs with ids greater than `after_id`, without the first `offset` of these."""
        rows, start = self._rows, offset
        if after_id is not None:
            start += bisect_right(self._numbers, after_id, key=lambda number: _song_id(rows[number]))
        return [rows[number].song for number in self._numbers[start : start + limit]]


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
        self._greatest_id = ""
        self._late: set[int] = set()  # rows with a lesser id than one before them; all others are in the order of ids

    def __len__(self) -> int:
        """Return how many rows were added."""
        return len(self._rows)

    def add(self, rows: Sequence[StoredSong]) -> None:
        """Take in `rows`."""
        first = len(self._rows)
        for number, row in enumerate(rows, start=first):
            if row.song.id < self._greatest_id:
                self._late.add(number)
            else:
                self._greatest_id = row.song.id
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

    def matches(self, text: str) -> FoundSongs:
        """Return the rows in whose artist or title the folded `text` is contained."""
        rows = self._rows
        if _SEPARATOR in text:
            return FoundSongs(rows, ())
        numbers = None if self._words is None else self._words.rows(text)
        if numbers is None:
            numbers = [number for number, row in enumerate(rows) if text in row.folded]
        elif text.split() != [text]:
            numbers = [number for number in numbers if text in rows[number].folded]
        in_order = self._late.isdisjoint(numbers)
        return FoundSongs(rows, sorted(numbers, key=None if in_order else lambda number: _song_id(rows[number])))


def _note(words: WordIndex, rows: Iterable[StoredSong], first: int) -> None:
    for number, row in enumerate(rows, start=first):
        words.add(number, row.folded)
