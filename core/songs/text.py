"""Text folding: every storage folds texts with `fold` and searches for substrings of the result.

The order of the steps matters: casefolding and then applying NFKC once is not idempotent for 637 code points
(Unicode 14); the double application below is, over all code points. Bump `FOLD_VERSION` with any change of `fold`,
so that storages can find stored folds that are out of date; Unicode's own version is part of it for this reason.
"""

import re
import unicodedata
from typing import Final

FOLD_VERSION: Final = f"1/{unicodedata.unidata_version}"

_COMBINING_MARKS: Final = re.compile("[\u0300-\u036f]")


def fold(text: str) -> str:
    """Return `text` without regard to case, compatibility forms and Latin, Greek or Cyrillic accents.

    Beyoncé folds to "beyonce", Straße to "strasse"; kana and Hangul keep their voicing marks and syllables, as these
    lie outside U+0300..U+036F or compose again. Idempotent. Some texts fold to the empty string, and some grow: one
    code point becomes 18 at the most.
    """
    if text.isascii():
        return text.lower()
    normalize = unicodedata.normalize
    folded = normalize("NFKC", normalize("NFD", text).casefold())
    folded = normalize("NFKC", folded.casefold())
    return normalize("NFKC", _COMBINING_MARKS.sub("", normalize("NFKD", folded)))
