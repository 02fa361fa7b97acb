"""Passwords that are wrong."""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import bcrypt

from songs.errors import Overloaded
from songs.ports.passwords import PasswordCheck
from songs_plugins import AdapterContext, AdapterSpec
from songs_security.bcrypt_plugin import BcryptSettings, songs_adapters
from songs_security.passwords import BcryptPasswords

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
