"""Passwords."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether a password was right, and if so whether it should be hashed again with the current parameters."""

    ok: bool
    outdated: bool = False


@runtime_checkable
class PasswordHasher(Protocol):
    """Hashes passwords slowly and checks them. Thread-safe; releases the interpreter while it works.

    PWD-1: `verify` accepts exactly the password that was hashed, which is any text: its whole length and every
        character count, beyond 72 bytes and after a NUL too, spaces, invisible characters and lone surrogates among
        them. Texts that are equal after NFKC are the same password; no others are.
    PWD-2: Two hashes of one password differ (a random salt), also of two objects, threads or forked processes, and no
        hash contains the password, in clear or encoded.
    PWD-3: `verify(password, None)`, for a user that does not exist, and a stored hash that is damaged or of an
        unknown kind, the password itself or its plain digest, answer ``ok=False`` after the same work as a wrong
        password. A hash with anything in front or at the end is damaged.
    PWD-4: At most as many hashes are computed at once as the adapter was set up for; a call beyond that waits up to
        `wait_s`, with 0 or less not at all, and then raises `songs.errors.Overloaded` without having started. What was
        refused takes nobody's place later.
    PWD-5: A right password whose hash was made with weaker parameters than today's answers ``outdated=True``.
    """

    def hash(self, password: str, *, wait_s: float) -> str:
        """Return a hash that `verify` will accept, as printable ASCII.

        Raises:
            Overloaded: No turn came within `wait_s` seconds.
        """
        ...

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Return whether `hashed` was made from `password`. None stands for a user that does not exist.

        Raises:
            Overloaded: No turn came within `wait_s` seconds.
        """
        ...
