"""Near misses: texts that are nearly the same, and that no adapter may take for one another.

Columns trim and cut, collations fold, drivers convert, and joined keys run into each other. Each of these tables stands
for all of that; every id, name, key, bucket, group and entry of a port is held to it, by one test a kind.
"""

from collections.abc import Callable, Iterator
from typing import Final

_LOOK_ALIKES: Final = str.maketrans("aceiopsxyABCEHIKMOPSTX0", "асеіорѕхуАВСЕНІКМОРЅТХО")

_FOLDED_ALIKE: Final = str.maketrans({"k": "\u212a", "K": "\u212a", "s": "\u017f", "S": "\u017f"})

CHANGES: Final[dict[str, Callable[[str], str]]] = {
    "a NUL at the end": lambda text: f"{text}\0",
    "a NUL in front": lambda text: f"\0{text}",
    "a NUL and more": lambda text: f"{text}\0{text}",
    "a space at the end": lambda text: f"{text} ",
    "a space in front": lambda text: f" {text}",
    "a newline at the end": lambda text: f"{text}\n",
    "a newline in front": lambda text: f"\n{text}",
    "a tab at the end": lambda text: f"{text}\t",
    "a space that does not break": lambda text: f"{text}\u00a0",
    "upper case": str.upper,
    "lower case": str.lower,
    "the other case": str.swapcase,
    "the first letter's case": lambda text: text[:1].swapcase() + text[1:],
    "the last letter's case": lambda text: text[:-1] + text[-1:].swapcase(),
    "a combining mark": lambda text: f"{text[:1]}\u0301{text[1:]}",
    "the same letters, full width": lambda text: "".join(
        chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text
    ),
    "a look-alike letter": lambda text: text.translate(_LOOK_ALIKES),
    "a letter that folds to it": lambda text: text.translate(_FOLDED_ALIKE),
    "an invisible character": lambda text: f"{text}\u200b",
    "a soft hyphen": lambda text: f"{text[:1]}\u00ad{text[1:]}",
    "a byte order mark": lambda text: f"\ufeff{text}",
    "a lone surrogate": lambda text: f"{text}\ud800",
    "all but the last character": lambda text: text[:-1],
    "all but the first character": lambda text: text[1:],
    "the last character twice": lambda text: text + text[-1:],
    "the first character twice": lambda text: text[:1] + text,
    "twice": lambda text: text + text,
    "reversed": lambda text: text[::-1],
    "a hyphen at the end": lambda text: f"{text}-",
    "an underscore for the last character": lambda text: f"{text[:-1]}_",
    "a wildcard of SQL": lambda text: f"{text[:-1]}%",
    "a wildcard of files": lambda text: f"{text[:-1]}*",
    "a pattern": lambda text: f"{text[:-1]}.",
    "an escape": lambda text: f"\\{text}",
    "quotes": lambda text: f"'{text}'",
    "a path": lambda text: f"./{text}",
    "percent encoded": lambda text: f"%{ord(text[0]):02X}{text[1:]}" if text else "%00",
    "nothing": lambda text: text[:0],
}
"""What a text is changed to, by a function, and what that is called."""

# fmt: off
NUMBERS: Final = [
    "7", "07", "007", "-7", "7-", "7e0", "07e0", "0x7", "7_", "1000", "01000", "1e3", "1_000", "0", "00", "-0",
    "000", "0000", "0007",
]
# fmt: on
"""Texts of letters, digits, ``_`` and ``-`` that some reader of numbers takes for another one of them."""

WORDS: Final = ["null", "None", "NULL", "true", "True", "false", "undefined", "nan", "NaN", "inf", "id", "_id"]
"""Texts that mean something where values and their names are one."""

LENGTHS: Final = (15, 31, 63, 64, 127, 191, 199, 254, 255, 511, 767, 768, 1023)
"""How many characters, or bytes, columns and indexes compare."""

SEPARATORS: Final = ("", *"-_:|/.,;#+=~@ '\\\t\0", "::")
"""What parts of a key are joined with."""


def near_misses(text: str, *, admitted: Callable[[str], bool] | None = None) -> dict[str, str]:
    """Return texts that are nearly `text`, none of them twice, by what makes the difference.

    Args:
        text: At least one character.
        admitted: Only those for which it returns true: what a port may be given to store.
    """
    found: dict[str, str] = {}
    seen = {text}
    for name, change in CHANGES.items():
        changed = change(text)
        if changed not in seen and (admitted is None or admitted(changed)):
            seen.add(changed)
            found[name] = changed
    return found


def alike_at_first(at_most: int, letter: str = "x") -> list[str]:
    """Return texts of at most `at_most` characters, in pairs that differ in their last character alone.

    Args:
        at_most: The longest permitted text; those of this length are among them.
        letter: What they consist of but for the last one. One that takes several bytes meets limits in bytes.
    """
    lengths = [each for each in LENGTHS if each < at_most - 1] + [at_most - 1]
    return [letter * length + last for length in lengths for last in "ab"]


def other_later(text: str) -> list[str]:
    """Return texts that are `text` but for one character, behind as many as columns and indexes compare."""
    lengths = [each for each in LENGTHS if each < len(text)]
    return [f"{text[:each]}~{text[each + 1 :]}" for each in lengths]


def joined_alike(separator: str) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield pairs of pairs of texts that read the same once each pair is joined, with or without `separator`."""
    yield ("a1", "2"), ("a", "12")
    yield (f"a{separator}b", "c"), ("a", f"b{separator}c")
    if separator:
        yield (f"a{separator}", "b"), ("a", f"{separator}b")


def family(text: str, at_most: int, admitted: Callable[[str], bool]) -> list[str]:
    """Return `text` and all that may be taken for it or for each other, as far as it is admitted; none of it twice.

    Args:
        text: At least one character.
        at_most: The longest text that is admitted.
        admitted: Returns whether a port may be given a text to store.
    """
    alike = [*NUMBERS, *WORDS, *alike_at_first(at_most)]
    return list(dict.fromkeys([text, *near_misses(text, admitted=admitted).values(), *filter(admitted, alike)]))


FORMS: Final = (
    *("\u00e9", "e\u0301", "\u00c5", "\u212b", "A\u030a", "\ufb01", "fi", "\u00df", "ss", "\u1e9e", "K", "\u212a"),
    *("\u0130", "i\u0307", "\u0131", "\u2460", "\u00b2", "\uff12", "\u0439", "\u0438\u0306", "\uac00", "\u1100\u1161"),
    *("a", "\u0430", "\ud800", "\ud801", "\udfff", "?", "\ufffd", "\ud83d\ude00", "\U0001f600"),
)
"""Texts that some normal form, or folding of case, or replacement of what cannot be encoded, makes one."""

SAME_HASH: Final = (
    *("plumless", "buckeroo"),  # CRC-32
    *("song-0269246", "song-0910685"),  # Adler-32
    *("Aa", "BB"),  # 31 times what came before, as Java has it
    *("Ab", "BA"),  # 33 times, as Bernstein has it
    *("song-3187969", "song-6734102"),  # FNV-1a of 32 bits
    *("song-7311070", "song-1498040"),  # the first 32 bits of MD5
    *("song-3264842", "song-0508062"),  # of SHA-1
    *("song-6021979", "song-0764144"),  # of SHA-256
)
"""Pairs of texts with the same short hash."""


def any_texts(at_most: int) -> list[str]:
    """Return near misses of all kinds, each once, of at most `at_most` characters: where any text is permitted."""
    texts = [*family("Song-a1", at_most, lambda _text: True), *FORMS, *SAME_HASH, *alike_at_first(at_most, "\u00e9")]
    texts += [f"10.0.0.1{separator}{last}" for separator in SEPARATORS for last in ("80", "81")]
    return list(dict.fromkeys(texts))
