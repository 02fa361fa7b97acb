"""Access tokens."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from songs.model import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """The claims of an access token. Times are UTC, in whole seconds."""

    token_id: str
    user_id: str
    name: str
    role: Role
    token_version: int
    issued_at: datetime
    expires_at: datetime


@runtime_checkable
class TokenIssuer(Protocol):
    """Issues and verifies access tokens. Thread-safe, without I/O.

    TOK-1: `verify` returns the claims that `issue` was given, member by member and each of its type, in every thread,
        for times of the years 2020 to 2199.
    TOK-2: A token is refused from the second of its `expires_at` on, by the clock that the issuer was made with, and
        while its `issued_at` lies more than 60 s ahead, or its ``nbf``, where another program that knows the secret
        gave it one, at all. That is a matter of the clock's time at this call: what was refused may be good later.
    TOK-3: A token is refused when a byte of it was changed, when another secret, issuer, audience, type or algorithm
        made it ("none" included), however little differs, when its header names a key of its own or what must be
        understood (``crit``), when a claim is missing or of the wrong type, and when it is longer than 4096 bytes.
    TOK-4: Every refusal is `songs.errors.InvalidToken`, whatever the input: garbage, empty, not ASCII, huge. The error
        holds nothing of the token.
    TOK-5: A token satisfies RFC 6750's b64token, so that it fits an Authorization header.
    """

    def issue(self, claims: AccessClaims) -> str:
        """Return a token that says `claims`."""
        ...

    def verify(self, token: str) -> AccessClaims:
        """Return what `token` says.

        Raises:
            InvalidToken: The token must not be believed, or no longer.
        """
        ...
