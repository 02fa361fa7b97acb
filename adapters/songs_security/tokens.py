"""Access tokens: JSON Web Tokens of type ``at+jwt`` (RFC 9068), signed with HMAC-SHA256."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from songs.errors import InvalidToken
from songs.model import Role, is_id
from songs.ports.clock import Clock
from songs.ports.tokens import AccessClaims

MAX_TOKEN_BYTES: Final = 4096
ISSUED_AHEAD_S: Final = 60
TYPE: Final = "at+jwt"
ALGORITHM: Final = "HS256"

_COMPACT: Final = re.compile(r"[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+", re.ASCII)
_LAST_OF_TWO: Final = frozenset("AQgw")
_LAST_OF_THREE: Final = frozenset("AEIMQUYcgkosw048")
_REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "exp", "name", "role", "ver")


class JwtTokens:
    """Issues and verifies tokens.

    Args:
        secret: Signs, and verifies; at least 32 bytes.
        previous_secret: Verifies only: what `secret` was before it was changed.
        issuer: The ``iss`` of all tokens.
        audience: The ``aud`` of all tokens.
        clock: What tokens expire by.
    """

    def __init__(
        self, *, secret: bytes, previous_secret: bytes | None, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._headers = {"typ": TYPE, "kid": _key_id(secret)}
        secrets = (secret,) if previous_secret is None else (secret, previous_secret)
        self._secrets = {_key_id(each): each for each in secrets}
        # Times are compared with our clock, not with the library's.
        own_times = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        options = {"require": list(_REQUIRED), "enforce_minimum_key_length": True, **own_times}
        self._jwt = jwt.PyJWT(options)  # type: ignore[arg-type]

    def issue(self, claims: AccessClaims) -> str:
        payload = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": claims.user_id,
            "jti": claims.token_id,
            "iat": int(claims.issued_at.timestamp()),
            "exp": int(claims.expires_at.timestamp()),
            "name": claims.name,
            "role": claims.role.value,
            "ver": claims.token_version,
        }
        return self._jwt.encode(payload, self._secret, algorithm=ALGORITHM, headers=self._headers)

    def verify(self, token: str) -> AccessClaims:
        if len(token) > MAX_TOKEN_BYTES or not _is_canonical(token):
            raise InvalidToken
        try:
            claims = _claims(self._payload(token))
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            # Not chained: the library's messages may quote the token.
            raise InvalidToken from None
        now = self._clock.now()
        if now >= claims.expires_at or claims.issued_at > now + timedelta(seconds=ISSUED_AHEAD_S):
            raise InvalidToken
        return claims

    def _payload(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != TYPE:
            raise InvalidToken
        return self._jwt.decode(
            token,
            self._secrets[header["kid"]],
            algorithms=[ALGORITHM],
            issuer=self._issuer,
            audience=self._audience,
        )


def _key_id(secret: bytes) -> str:
    """Return a name for a secret from which it cannot be learned: it says which one to verify with, no more."""
    return hashlib.sha256(b"songs key id\0" + secret).hexdigest()[:8]


def _is_canonical(token: str) -> bool:
    """Return whether `token` is three parts of base64url with their unused bits zero, so that no bit can be changed."""
    if _COMPACT.fullmatch(token) is None:
        return False
    for part in token.split("."):
        rest = len(part) % 4
        if rest == 1 or (rest and part[-1] not in (_LAST_OF_TWO if rest == 2 else _LAST_OF_THREE)):  # noqa: PLR2004
            return False
    return True


def _claims(payload: dict[str, Any]) -> AccessClaims:
    texts = tuple(payload[name] for name in ("sub", "jti", "name", "role"))
    numbers = tuple(payload[name] for name in ("iat", "exp", "ver"))
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise InvalidToken
    user_id, token_id, name, role = texts
    issued_at, expires_at, version = numbers
    if not is_id(user_id) or not is_id(token_id):
        raise InvalidToken
    return AccessClaims(
        token_id=token_id,
        user_id=user_id,
        name=name,
        role=Role(role),
        token_version=version,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
    )
