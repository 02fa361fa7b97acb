"""Passwords: hashed with bcrypt after a hash that takes any length, a bounded number at a time."""

import base64
import hashlib
import hmac
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Final

import bcrypt

from songs.errors import Overloaded
from songs.ports.passwords import PasswordCheck

KIND: Final = "bcrypt-sha256-1$"
MOST_ROUNDS: Final = 16
"""A stored hash that asks for more is taken as damaged: one of 31 rounds would compute for days."""

# The 22nd character of a salt has four unused bits; bcrypt raises unless they are zero.
_STORED: Final = re.compile(r"\$2b\$(\d\d)\$[./0-9A-Za-z]{21}[.Oeu][./0-9A-Za-z]{31}", re.ASCII)
_PIECE: Final = 256
_NO_PASSWORD: Final = "." * 53
"""Salt and hash of all zero bits: what no password is known to hash to."""


class BcryptPasswords:
    """Hashes and checks passwords.

    bcrypt itself reads 72 bytes and no more. Here it is given the base64 of an HMAC-SHA256 of the password, 44
    characters in which every character of the password counts. The key of that HMAC is no secret: it only keeps
    such hashes apart from those that others make of the same password.

    Args:
        rounds: The cost of new hashes: 2 to the power of `rounds` steps.
        concurrency: How many hashes may be computed at once. Others wait for as long as they say (PWD-4): a bulkhead
            would refuse some of them sooner, and hashing never stalls.
    """

    def __init__(self, *, rounds: int, concurrency: int) -> None:
        self._rounds = rounds
        self._slots = threading.BoundedSemaphore(concurrency)

    def hash(self, password: str, *, wait_s: float) -> str:
        with self._slot(wait_s):
            return KIND + bcrypt.hashpw(_digest(password), bcrypt.gensalt(self._rounds)).decode("ascii")

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        stored, digest = _stored(hashed), _digest(password)
        with self._slot(wait_s):
            # Where there is nothing to check against, the dummy takes as long and never matches.
            ok = bcrypt.checkpw(digest, (stored or _dummy(self._rounds)).encode("ascii"))
            # Each cost is twice the one below: an older hash takes as long as today's, which gives no name away.
            for rounds in range(_rounds(stored) if stored else self._rounds, self._rounds):
                bcrypt.checkpw(digest, _dummy(rounds).encode("ascii"))
        if stored is None or not ok:
            return PasswordCheck(ok=False)
        return PasswordCheck(ok=True, outdated=_rounds(stored) < self._rounds)

    @contextmanager
    def _slot(self, wait_s: float) -> Iterator[None]:
        # Less than nothing is nothing: to the semaphore -1 means for ever.
        if not self._slots.acquire(timeout=min(max(0.0, wait_s), threading.TIMEOUT_MAX)):
            raise Overloaded(public="Too many passwords are being checked; try again soon.")
        try:
            yield
        finally:
            self._slots.release()


def _digest(password: str) -> bytes:
    # A lone surrogate cannot be typed, but can be sent: it must fail like any wrong password.
    text = _nfkc(password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(b"songs password", text, hashlib.sha256))


def _nfkc(text: str) -> str:
    """Return `text` in NFKC, in time that grows with its length.

    `unicodedata` sorts a run of combining marks in quadratic time and holds the interpreter meanwhile: for a second
    at 32,000 of them, which anyone may send. So long texts are decomposed piece by piece and their runs sorted first.
    """
    if len(text) > _PIECE:
        pieces = (unicodedata.normalize("NFKD", text[i : i + _PIECE]) for i in range(0, len(text), _PIECE))
        runs = groupby("".join(pieces), key=lambda character: unicodedata.combining(character) != 0)
        text = "".join("".join(sorted(run, key=unicodedata.combining)) for _, run in runs)
    return unicodedata.normalize("NFKC", text)


def _stored(hashed: str | None) -> str | None:
    """Return the bcrypt part of a stored hash, or None where it has none that can be checked."""
    if hashed is None or not hashed.startswith(KIND):
        return None
    stored = hashed.removeprefix(KIND)
    match = _STORED.fullmatch(stored)
    return stored if match and 4 <= int(match[1]) <= MOST_ROUNDS else None  # noqa: PLR2004 - bcrypt's least


def _dummy(rounds: int) -> str:
    return f"$2b${rounds:02d}${_NO_PASSWORD}"


def _rounds(stored: str) -> int:
    return int(stored[4:6])
