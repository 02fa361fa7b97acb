"""Texts that storages stumble over."""

import unicodedata

from hypothesis import strategies as st

from songs.limits import MAX_TEXT

HOSTILE = "%_*?.\\/^$|()[]{}+-'\"`;:&#@!~<>=, aAbBzZéÉßẞﬁİıΣσς君日本ガが한국שלמرحบาเป𝄞\u0301\u200d\u200f\ufeff\ufffd"
FORBIDDEN = "\x00\x1f\x7f\x85\u2028\u2029"


def texts(max_size: int = 24) -> st.SearchStrategy[str]:
    """Return a strategy of texts that the model admits, dense in what has a special meaning somewhere."""
    characters = st.one_of(
        st.sampled_from(HOSTILE),
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029"),
    )
    raw = st.text(characters, min_size=1, max_size=max_size)
    return raw.map(lambda text: unicodedata.normalize("NFC", text)).filter(lambda text: 1 <= len(text) <= MAX_TEXT)
