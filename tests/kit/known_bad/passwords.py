"""Passwords that are wrong."""

import base64
import hashlib
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, cast

import bcrypt

from songs.errors import Overloaded
from songs.ports.passwords import PasswordCheck
from songs_plugins import AdapterContext, AdapterSpec
from songs_security.bcrypt_plugin import BcryptSettings, songs_adapters
from songs_security.passwords import KIND, BcryptPasswords, _digest

from . import cache_corners
from .planting import changed

ROUNDS = 4
AT_ONCE = 2


def passwords(kind: Callable[..., BcryptPasswords]) -> AdapterSpec:
    """Return the descriptor of a class of passwords."""

    def factory(settings: BcryptSettings, context: AdapterContext) -> BcryptPasswords:
        return kind(rounds=settings.rounds, concurrency=settings.concurrency)

    return changed(next(iter(songs_adapters())), factory, rounds=ROUNDS, concurrency=AT_ONCE)


class _Prepares(BcryptPasswords):
    """Passwords that a defect changes before they are hashed or checked."""

    def prepared(self, password: str) -> str:
        """Return what to hash."""
        return password

    def hash(self, password: str, *, wait_s: float) -> str:
        """Hash."""
        return super().hash(self.prepared(password), wait_s=wait_s)

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Check."""
        return super().verify(self.prepared(password), hashed, wait_s=wait_s)


class _Truncates(_Prepares):
    def prepared(self, password: str) -> str:
        """Read 72 bytes, as bcrypt itself does."""
        return password.encode("utf-8", "replace")[:72].decode("utf-8", "replace")


long_passwords_are_cut = passwords(_Truncates)


class _StopsAtNul(_Prepares):
    def prepared(self, password: str) -> str:
        """Read to the first NUL, as C does."""
        return password.partition("\x00")[0]


passwords_end_at_nul = passwords(_StopsAtNul)


class _NoCase(_Prepares):
    def prepared(self, password: str) -> str:
        """Read without case."""
        return password.lower()


passwords_have_no_case = passwords(_NoCase)


class _AsTyped(_Prepares):
    def prepared(self, password: str) -> str:
        """Tell normal forms of one text apart."""
        return ascii(unicodedata.normalize("NFC", password))


compatibility_forms_differ = passwords(_AsTyped)


class _SameSalt(BcryptPasswords):
    def hash(self, password: str, *, wait_s: float) -> str:
        """Use one salt for all."""
        return self.__dict__.setdefault(password, super().hash(password, wait_s=wait_s))  # type: ignore[no-any-return]


salt_is_not_random = passwords(_SameSalt)


class _Hint(BcryptPasswords):
    def hash(self, password: str, *, wait_s: float) -> str:
        """Put the password beside its hash."""
        return f"{super().hash(password, wait_s=wait_s)}{password}"


hash_contains_the_password = passwords(_Hint)


class _NoWork(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Answer for an unknown user at once."""
        return PasswordCheck(ok=False) if hashed is None else super().verify(password, hashed, wait_s=wait_s)


unknown_user_costs_nothing = passwords(_NoWork)


class _RaisesOnDamage(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Object to a damaged hash as the library does."""
        if hashed is not None:
            bcrypt.checkpw(b"", hashed.rpartition("-1")[2].encode())
        return super().verify(password, hashed, wait_s=wait_s)


damaged_hash_is_an_error = passwords(_RaisesOnDamage)


class _Unbounded(BcryptPasswords):
    def __init__(self, *, rounds: int, concurrency: int) -> None:
        super().__init__(rounds=rounds, concurrency=1000)


hashes_are_unbounded = passwords(_Unbounded)


class _NeverWaits(BcryptPasswords):
    @contextmanager
    def _slot(self, wait_s: float) -> Iterator[None]:
        if not self._slots.acquire(blocking=False):
            raise Overloaded
        try:
            yield
        finally:
            self._slots.release()


nobody_may_wait = passwords(_NeverWaits)


class _AlwaysOutdated(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Take every hash for an old one."""
        found = super().verify(password, hashed, wait_s=wait_s)
        return PasswordCheck(ok=found.ok, outdated=found.ok)


every_hash_is_outdated = passwords(_AlwaysOutdated)


def _prepared(change: Callable[[str], str]) -> AdapterSpec:
    """Return the descriptor of passwords that are changed first."""

    class _Prepared(_Prepares):
        def prepared(self, password: str) -> str:
            return change(password)

    return passwords(_Prepared)


passwords_are_lines = _prepared(lambda password: password.rstrip("\r\n"))
long_passwords_end_at_1024 = _prepared(lambda password: password[:1024])
invisible_characters_are_dropped = _prepared(lambda password: password.replace("\u200b", "").replace("\xad", ""))
accents_are_dropped = _prepared(
    lambda password: "".join(c for c in unicodedata.normalize("NFKD", password) if not unicodedata.combining(c))
)
spaces_are_one = _prepared(lambda password: re.sub("  +", " ", password))
passwords_are_numbers = _prepared(cache_corners.number)
surrogates_are_replaced = _prepared(cache_corners.replaced)
surrogates_are_errors = _prepared(cache_corners.sent)


class _KnowsOthers(BcryptPasswords):
    """Accepts what older versions stored."""

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Compare with that as well."""
        found = super().verify(password, hashed, wait_s=wait_s)
        return PasswordCheck(ok=True, outdated=True) if hashed and hashed == self.older(password) else found

    def older(self, password: str) -> str:
        """Return what an older version stored: nothing but the password."""
        return password


clear_text_is_accepted = passwords(_KnowsOthers)


class _Digests(_KnowsOthers):
    def older(self, password: str) -> str:
        """Return a digest."""
        return hashlib.sha256(password.encode("utf-8", "replace")).hexdigest()


digest_is_accepted = passwords(_Digests)


class _Lines(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Read a hash as a line of a file."""
        return super().verify(password, hashed and hashed.strip(), wait_s=wait_s)


damage_around_a_hash_is_ignored = passwords(_Lines)


class _Numbers(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Return what a comparison in C does."""
        found = super().verify(password, hashed, wait_s=wait_s)
        return PasswordCheck(ok=cast("bool", int(found.ok)), outdated=found.outdated)


check_is_a_number = passwords(_Numbers)


class _Salted(BcryptPasswords):
    """Draws salts from numbers that can be repeated."""

    numbers: ClassVar[random.Random] = random.Random(7)

    def hash(self, password: str, *, wait_s: float) -> str:
        """Put another salt in the place of that of the system."""
        salt = "".join(self.numbers.choices("abcdefghijklmnopqrstuvwxyz", k=21)) + "."
        with self._slot(wait_s):
            return KIND + bcrypt.hashpw(_digest(password), f"$2b$04${salt}".encode()).decode("ascii")


salts_go_on_after_a_fork = passwords(_Salted)


class _Seeded(_Salted):
    def __init__(self, *, rounds: int, concurrency: int) -> None:
        super().__init__(rounds=rounds, concurrency=concurrency)
        self.__dict__["numbers"] = random.Random(7)


salts_begin_with_the_object = passwords(_Seeded)


class _Encoded(BcryptPasswords):
    def hash(self, password: str, *, wait_s: float) -> str:
        """Put the password beside its hash, for an algorithm to come."""
        encoded = base64.b64encode(password.encode("utf-8", "surrogatepass")).decode()
        return f"{super().hash(password, wait_s=wait_s)}{encoded}"


hash_contains_the_password_encoded = passwords(_Encoded)


class _WaitsForEver(BcryptPasswords):
    @contextmanager
    def _slot(self, wait_s: float) -> Iterator[None]:
        """Take less than nothing for no limit."""
        with super()._slot(wait_s if wait_s >= 0 else 1e9):
            yield


less_than_nothing_waits = passwords(_WaitsForEver)


class _OneBuffer(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Keep the password where every thread puts it."""
        self._given = password
        time.sleep(0)
        return super().verify(self._given, hashed, wait_s=wait_s)


threads_get_answers_of_others = passwords(_OneBuffer)
