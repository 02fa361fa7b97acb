"""The fold: the one meaning of "matches"."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.text import FOLD_VERSION, fold


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Beyoncé", "beyonce"),
        ("Beyonce\u0301", "beyonce"),
        ("Straße", "strasse"),
        ("STRASSE", "strasse"),
        ("ＡＢＣ", "abc"),
        ("ﬁ", "fi"),
        ("Ἀθῆναι", "αθηναι"),
        ("Ёлка", "елка"),
        ("が", "が"),
        ("ガ", "ガ"),
        ("한국", "한국"),
        ("שָׁלוֹם", fold("שָׁלוֹם")),
        ("ⅷ", "viii"),
        ("85% _ .* /\\", "85% _ .* /\\"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    """Case, compatibility forms and Latin, Greek and Cyrillic accents go; other scripts keep their marks."""
    assert fold(text) == expected


def test_idempotent_over_all_code_points() -> None:
    """Folding what is folded changes nothing, for every single code point of Unicode."""
    changed = [
        f"U+{point:04X}"
        for point in range(sys.maxunicode + 1)
        if not 0xD800 <= point <= 0xDFFF and fold(fold(chr(point))) != fold(chr(point))
    ]
    assert changed == []


@given(st.text())
def test_idempotent_over_texts(text: str) -> None:
    """Folding what is folded changes nothing, for texts of several code points too."""
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_case_does_not_matter(text: str) -> None:
    """A text and its casefolded form match each other."""
    assert fold(text.casefold()) == fold(text)


def test_ascii_shortcut_is_the_same_function() -> None:
    """The shortcut for ASCII returns what the whole sequence of steps would."""
    every = "".join(map(chr, range(128)))
    assert fold(every) == fold(every + "é").removesuffix("e")


def test_growth_is_bounded() -> None:
    """One code point becomes 18 at the most: what the documentation promises."""
    longest = max(len(fold(chr(point))) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF)
    assert longest == 18


def test_version_names_unicode() -> None:
    """Storages see from the version that another Unicode folds differently."""
    assert FOLD_VERSION.startswith("1/")
    assert FOLD_VERSION.count(".") == 2
