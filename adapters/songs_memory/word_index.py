"""Rows by the words of their texts, and words by what they contain."""

from array import array
from collections.abc import Collection, Sequence
from typing import Final

SHORTEST: Final = 3
"""Characters of the shortest text that can be looked up; white space at the border of a word counts as one."""
LONGEST: Final = 4
"""Characters of the longest text that is one look-up; a longer one is looked for in the words that have a part of it.

A rare part of three characters is in 160 of the words of a million songs, a part of four in 30.
"""


class WordIndex:
    """Finds the rows that have a word in which a text is contained. Words are kept with a space on either side.

    A million songs have a quarter of a million words, and a rare trigram is in a hundred of these where it is in a
    thousand songs: words are looked through, songs are not. Words are what is between white space. It only grows; one
    writer at a time adds, and readers never wait.
    """

    __slots__ = ("_numbers", "_rows", "_with", "_words")

    def __init__(self) -> None:
        self._words: list[str] = []
        self._rows: list[array[int]] = []  # those of each word
        self._numbers: dict[str, int] = {}  # where each word is in the two lists
        self._with: dict[str, array[int]] = {}  # the numbers of the words in which a text is contained

    def add(self, row: int, text: str) -> None:
        """Take in the words of `text` as those of a row, whose number is greater than all before."""
        for word in {f" {word} " for word in text.split()}:
            number = self._numbers.get(word)
            if number is None:
                self._add_word(word, row)
            else:
                self._rows[number].append(row)

    def rows(self, text: str) -> Collection[int] | None:
        """Return the numbers of all rows that have `text` in a text of theirs, and of more if it has white space.

        None where the index cannot tell: for one or two characters within a word.
        """
        found = [self._rows_with(part) for part in _sought(text) if len(part) >= SHORTEST or " " in part]
        return min(found, key=len, default=None)

    def _rows_with(self, part: str) -> Collection[int]:
        lists = [self._rows[number] for number in self._words_with(part)]
        return lists[0] if len(lists) == 1 else set[int]().union(*lists)

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
        for part in {word[:2], word[-2:]} | _parts(word, SHORTEST) | _parts(word, LONGEST):
            numbers = self._with.get(part)
            if numbers is None:
                self._with[part] = array("I", (number,))
            else:
                numbers.append(number)
        self._numbers[word] = number


def _sought(text: str) -> set[str]:
    """Return the words of a text, with a space where one begins or ends within it."""
    words = [f" {word} " for word in text.split()]
    if words and not text[0].isspace():
        words[0] = words[0][1:]
    if words and not text[-1].isspace():
        words[-1] = words[-1][:-1]
    return set(words)


def _parts(word: str, length: int) -> set[str]:
    return {word[start : start + length] for start in range(len(word) - length + 1)}
