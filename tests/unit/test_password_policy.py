"""What new passwords must be like."""

import unicodedata

import pytest

from songs.application.password_policy import PasswordPolicy, common_passwords
from songs.errors import InvalidInput


def _problem(password: str, name: str = "", **how: int) -> str | None:
    """Return what is wrong with a password, which the error itself never repeats."""
    try:
        PasswordPolicy(**how).check(password, name=name)
    except InvalidInput as error:
        (fault,) = error.errors
        told = str(error).removeprefix("/password: ")
        return told if fault.pointer == "/password" and password not in told.split() else "repeats the password"
    return None


@pytest.mark.parametrize(
    ("password", "fits"),
    [
        ("x" * 7, False),
        ("xyzuvwq!", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("e\u0301" * 128, True),
        ("e\u0301" * 129, False),
        ("e\u0301" * 4, False),
        ("\ufdfa" * 8, False),
        ("\ufdfa" * 7, False),
        ("\u00bd\u00bc\u00be\u2153\u2154\u215b\u215c", False),
        ("correct horse battery staple", True),
        ("君が代は千代に八千代に", True),
        ("\U0001f600" * 8, True),
        ("\ud800" * 20, False),
    ],
)
def test_a_length_in_characters(password: str, fits: bool) -> None:
    """8 to 128 characters after NFKC, and 8 before, of any kind: U+FDFA becomes 18, e with an accent one."""
    assert (_problem(password) is None) == fits


def test_the_least_length_can_be_raised() -> None:
    """As the service is set up."""
    assert _problem("a" * 10 + "b", min_length=12) == "must have 12 to 128 characters"


@pytest.mark.parametrize("password", ["password", "PassWord", "12345678", "qwertyuiop", "ｐａｓｓｗｏｒｄ", "Iloveyou"])
def test_what_everyone_tries_first_is_refused(password: str) -> None:
    """Common passwords, in any case and any compatible form."""
    assert _problem(password) == "is among the most common ones; choose another"


@pytest.mark.parametrize(
    ("name", "password", "fits"),
    [
        ("ada.lovelace", "ada.lovelace", False),
        ("ada.lovelace", "ADA.Lovelace", False),
        ("ada.lovelace", "ada.lovelace1815!", False),
        ("lovelace7", "lovelace2026", False),
        ("12345", "12345abcdef", True),
        ("ada", "ada likes the analytical engine", True),
        ("ada.lovelace", "lovelace.ada", True),
    ],
)
def test_ones_own_name_is_refused(name: str, password: str, fits: bool) -> None:
    """With whatever digits and punctuation behind it; a name within a phrase does no harm."""
    assert (_problem(password, name) is None) == fits


def test_nothing_is_asked_about_kinds_of_characters() -> None:
    """A long phrase of small letters is as good as any."""
    assert _problem("nur kleine buchstaben") is None


def test_the_list_is_in_the_form_that_is_compared() -> None:
    """An entry in another form would never match; one that is too short never matters."""
    listed = common_passwords()

    assert len(listed) == 6_000
    assert {entry for entry in listed if entry != unicodedata.normalize("NFKC", entry).casefold()} == set()
    assert min(map(len, listed)) == 8
