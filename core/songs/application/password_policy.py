"""Rules for new passwords."""

import string
import unicodedata
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from songs.errors import FieldError, InvalidInput
from songs.limits import MOST_COMPOSED

MAX_PASSWORD: Final = 128
DEFAULT_MIN_PASSWORD: Final = 8


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The minimum length of new passwords, in characters, and forbidden ones. Not used at sign-in.

    The length counts before and after NFKC.

    It refuses the passwords that attackers try first: the most common ones, and the username, with or without digits
    and punctuation behind it. There are no rules about kinds of characters: they make passwords worse, not better.
    """

    min_length: int = DEFAULT_MIN_PASSWORD

    def check(self, password: str, *, name: str = "", pointer: str = "/password") -> None:
        """Raise `InvalidInput` unless the user `name` may choose `password`. The message never holds the password."""
        if problem := self.problem(password, name=name):
            raise InvalidInput([FieldError(pointer, problem)])

    def problem(self, password: str, *, name: str = "") -> str | None:
        """Return why the user `name` may not choose `password`, None if it may."""
        length = f"must have {self.min_length} to {MAX_PASSWORD} characters"
        if len(password) > MOST_COMPOSED * MAX_PASSWORD or not _encodable(password):
            return length
        normalised = unicodedata.normalize("NFKC", password)
        # Few characters do not become many by their normal form.
        if min(len(password), len(normalised)) < self.min_length or len(normalised) > MAX_PASSWORD:
            return length
        key = _key(password)
        if key in common_passwords():
            return "is among the most common ones; choose another"
        if name and (key == _key(name) or _stem(key) == _stem(_key(name))):
            return "must not be the username; choose another"
        return None


@cache
def common_passwords() -> AbstractSet[str]:
    """Return the most common passwords, as they are compared. Read when the first password is chosen."""
    text = (files("songs") / "data" / "common-passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())


def _key(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _stem(key: str) -> str:
    return key.rstrip(string.digits + string.punctuation) or key


def _encodable(password: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in password)
