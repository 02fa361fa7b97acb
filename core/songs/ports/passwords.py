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

    PWD-1: `verify` accepts exactly the password that was hashed: its whole length and every character count, beyond
        72 bytes and after a NUL too. Texts that are equal after NFKC are the same password.
    PWD-2: Two hashes of one password differ (a random salt), and no hash contains the password.
    PWD-3: `verify(password, None)`, for a user that does not exist, and a stored hash that is damaged or of an
        unknown kind, answer ``ok=False`` after the same work as a wrong password.
    PWD-4: At most as many hashes are computed at once as the adapter was set up for; a call beyond that waits up to
        `wait_s` and then raises `songs.errors.Overloaded` without having started.
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
