"""The search index: words, then songs."""

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final, Self

from immutables import Map

from songs.model import Song
from songs.text import fold

SHORTEST: Final = 3
"""Characters of the shortest text that can be looked up."""
LONGEST: Final = 4
"""Characters of the longest text that is one look-up; a longer one is looked for in the words that have a part of it.

A rare part of three characters is in 160 of the words of a million songs, a part of four in 30.
"""
_NONE: Final = array("I")


class WordIndex:
    """Finds the rows that have a word in which a text is contained.

    A million songs have a quarter of a million words, and a rare trigram is in a hundred of these where it is in a
    thousand songs: words are looked through, songs are not. Words are what is between white space; that two of them
    meet is looked up by what is around the white space, so that texts of short words are found as well. It only grows;
    one writer at a time adds, and readers never wait.
    """

    __slots__ = ("_meetings", "_numbers", "_rows", "_with", "_words")

    def __init__(self) -> None:
        self._words: list[str] = []
        self._rows: list[array[int]] = []  # those of each word
        self._numbers: dict[str, int] = {}  # where each word is in the two lists
        self._with: dict[str, array[int]] = {}  # the numbers of the words in which a text is contained
        self._meetings: dict[str, array[int]] = {}  # the rows that have a character, white space, and a character

    def add(self, row: int, text: str) -> None:
        """Take in the words of `text` as those of a row, whose number is greater than all before."""
        for word in set(text.split()):
            number = self._numbers.get(word)
            if number is None:
                self._add_word(word, row)
            else:
                self._rows[number].append(row)
        for meeting in _meetings(text):
            _append(self._meetings, meeting, row)

    def rows(self, text: str) -> Collection[int] | None:
        """Return the numbers of all rows that have `text` in a text of theirs, and of more if it has white space.

        None where the index cannot answer: `text` has no word of three characters, and no two words.
        """
        found = [
            [self._rows[number] for number in self._words_with(word)]
            for word in set(text.split())
            if len(word) >= SHORTEST
        ]
        found += [[self._meetings.get(meeting, _NONE)] for meeting in _meetings(text)]
        if not found:
            return None
        fewest = min(found, key=lambda lists: sum(map(len, lists)))
        return fewest[0] if len(fewest) == 1 else set[int]().union(*fewest)

    def _words_with(self, part: str) -> Sequence[int]:
        if len(part) <= LONGEST:
            return self._with.get(part, ())
        # Testing the few words of the rarest part costs less than intersecting its list with the longer ones.
        rarest = min((self._with.get(one, ()) for one in _parts(part, LONGEST)), key=len)
        return [number for number in rarest if part in self._words[number]]

    def _add_word(self, word: str, row: int) -> None:
        number = len(self._words)
        self._rows.append(array("I", (row,)))
        self._words.append(word)
        for part in _parts(word, SHORTEST) | _parts(word, LONGEST):
            _append(self._with, part, number)
        self._numbers[word] = number


def _parts(word: str, length: int) -> set[str]:
    return {word[start : start + length] for start in range(len(word) - length + 1)}


def _meetings(text: str) -> set[str]:
    return {text[at : at + 3] for at, middle in enumerate(text[1:-1]) if middle.isspace()}


def _append(lists: "dict[str, array[int]]", name: str, number: int) -> None:
    numbers = lists.get(name)
    if numbers is None:
        lists[name] = array("I", (number,))
    else:
        numbers.append(number)


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
        rows, start = self._rows, max(offset, 0)
        if after_id is not None:
            start += bisect_right(self._numbers, after_id, key=lambda number: _song_id(rows[number]))
        return [rows[number].song for number in self._numbers[start : start + max(limit, 0)]]


class SearchIndex:
    """Every stored song of some state, and more: songs of other states, and what writers took back.

    It only grows, and all states share it: what it finds is checked against a state. One writer at a time
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
