"""Rows by the words of their texts, and words by what they contain."""

from array import array
from collections.abc import Collection, Sequence
from typing import Final

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

        None where the index cannot tell: `text` has no word of three characters, and no two words.
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
