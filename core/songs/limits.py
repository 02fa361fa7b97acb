"""The limits of the domain's values, and the checks that hold values to them.

Each ``..._problem`` function returns the reason why a value is invalid, for a message, or None.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Final

from songs.errors import FieldError, InvalidInput

MAX_TEXT: Final = 1024
MOST_COMPOSED: Final = 4
"""The maximum number of code points that normalisation composes into one. Texts longer than that times their limit are
refused at once: normalising a long run of combining marks takes quadratic time."""
MAX_LEVEL: Final = 100
MAX_DIFFICULTY_MILLI: Final = 100_000
MIN_RATING: Final = 1
MAX_RATING: Final = 5
MAX_KEY: Final = 255
MAX_PAGE_SIZE: Final = 100
DEFAULT_PAGE_SIZE: Final = 20
MAX_COUNTED_ITEMS: Final = 100_000

_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_USERNAME: Final = re.compile(r"[0-9A-Za-z._@+-]{3,50}", re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def is_id(text: str) -> bool:
    """Return whether `text` has the form of an id: 1 to 64 ASCII letters, digits, ``_`` and ``-``."""
    return _ID.fullmatch(text) is not None


def is_idempotency_key(text: str) -> bool:
    """Return whether `text` is 1 to 255 visible ASCII characters (space is not visible)."""
    return _KEY.fullmatch(text) is not None


def text_problem(value: object) -> str | None:
    """Check a text: 1 to 1024 characters, normalised, without control characters."""
    # Nearly all stored texts are printable ASCII, which is quick to check.
    if type(value) is str and 0 < len(value) <= MAX_TEXT and value.isascii() and value.isprintable():
        return None
    if not isinstance(value, str):
        return "must be text"
    if not 1 <= len(value) <= MAX_TEXT:
        return f"must have 1 to {MAX_TEXT} characters"
    if not value.isascii() and not unicodedata.is_normalized("NFC", value) and not _FORBIDDEN.search(value):
        return "must be normalised (NFC)"
    if _FORBIDDEN.search(value):
        return "must not contain control characters, line separators or lone surrogates"
    return None


def integer_problem(low: int, high: int) -> Callable[[object], str | None]:
    """Return a check for integers between `low` and `high`; True and False are none."""

    def problem(value: object) -> str | None:
        if type(value) is not int:
            return "must be an integer"
        if not low <= value <= high:
            return f"must be between {low} and {high}"
        return None

    return problem


def difficulty_problem(value: object) -> str | None:
    """Check a difficulty in thousandths."""
    if type(value) is not int:
        return "must be a number of thousandths"
    if not 0 <= value <= MAX_DIFFICULTY_MILLI:
        return "must be between 0 and 100"
    return None


def date_problem(value: object) -> str | None:
    """Check a date."""
    # A datetime is a date to isinstance, and would come back from a storage as another value.
    return None if type(value) is date else "must be a date"


def time_problem(value: object) -> str | None:
    """Check a time: UTC, whole milliseconds."""
    if not isinstance(value, datetime) or value.tzinfo is not UTC:
        return "must be a time in UTC"
    return "must have whole milliseconds" if value.microsecond % 1000 else None


def id_problem(value: object) -> str | None:
    """Check an id."""
    return None if isinstance(value, str) and _ID.fullmatch(value) else "must be an id"


def username_problem(value: object) -> str | None:
    """Check a user's name."""
    if isinstance(value, str) and _USERNAME.fullmatch(value):
        return None
    return "must have 3 to 50 letters, digits or any of . _ @ + -"


level_problem = integer_problem(0, MAX_LEVEL)
rating_problem = integer_problem(MIN_RATING, MAX_RATING)
count_problem = integer_problem(1, 2**53)


_message: Final = itemgetter(1)


def refuse(*problems: tuple[str, str | None]) -> None:
    """Raise `InvalidInput` with every pointer that has a problem, if any has."""
    if any(map(_message, problems)):
        raise InvalidInput([FieldError(pointer, message) for pointer, message in problems if message])
