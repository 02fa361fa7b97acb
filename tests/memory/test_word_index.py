"""The index of words: which rows it names."""

from songs_memory.search import WordIndex

TEXTS = ("to be or not\nbeing", "so be it\nto  be", "tobe\nnot to", "beings")


def _named(text: str) -> list[int] | None:
    index = WordIndex()
    for row, words in enumerate(TEXTS):
        index.add(row, words)
    rows = index.rows(text)
    return None if rows is None else sorted(rows)


def test_words_that_contain_a_text() -> None:
    """Each row with such a word is named once, however short or long the text is."""
    assert _named("bei") == _named("being") == [0, 3]
    assert _named("ings") == [3]
    assert _named("other") == []


def test_short_words() -> None:
    """They are found by how they meet, and not by looking through all songs."""
    assert _named("to be") == [0, 1]  # "so be" meets in the same way
    assert _named("be it") == [1]
    assert _named("o  b") == [1]
    assert _named("or be") == []


def test_the_rarest_decides() -> None:
    """Of several words, and of how they meet, the rows of one are named: those of which there are fewest."""
    assert _named("not being") == []
    assert _named("or not") == [0]


def test_what_the_index_cannot_tell() -> None:
    """One word of two characters, with white space around it or not."""
    assert _named("to") is None
    assert _named(" to ") is None
