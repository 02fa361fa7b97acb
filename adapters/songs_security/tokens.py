"""Access tokens: JSON Web Tokens of type ``at+jwt`` (RFC 9068), signed with HMAC-SHA256."""

import hashlib
import re
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import jwt
from jwt.types import Options

from songs.errors import InvalidToken
from songs.limits import is_id
from songs.model import Role
from songs.ports.clock import Clock
from songs.ports.tokens import AccessClaims

MAX_TOKEN_BYTES: Final = 4096
MAX_READ: Final = 10_000
"""How many tokens that were read are remembered: 10 MB at most of those that this program writes."""
ISSUED_AHEAD: Final = timedelta(seconds=60)
MIN_SECRET_BYTES: Final = 32
TYPE: Final = "at+jwt"
ALGORITHM: Final = "HS256"

_COMPACT: Final = re.compile(r"[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+", re.ASCII)
_LAST_OF_TWO: Final = frozenset("AQgw")
_LAST_OF_THREE: Final = frozenset("AEIMQUYcgkosw048")
_REQUIRED: Final = ("iss", "aud", "sub", "jti", "iat", "exp", "name", "role", "ver")


class _Verified(NamedTuple):
    """The claims of a token of ours, and the time from which on it is good: ``nbf``, where it has one, and ``iat``."""

    claims: AccessClaims
    good_from: datetime


class JwtTokens:
    """Issues and verifies tokens.

    A token's first part must be, byte by byte, one of those that this program writes: one for each secret, which name
    algorithm, type and secret. So the secret is found without trying, and no header of anyone else's is ever read.

    The claims of a good token are remembered, since nothing in it and no secret ever changes; times are compared at
    every call, so that a token is good no longer than it would be if it was read each time. This program writes no
    ``nbf``; where another one that knows the secret does, the token is refused before it.

    Args:
        secret: Signs, and verifies; at least 32 bytes.
        previous_secret: Verifies only: what `secret` was before it was changed.
        issuer: The ``iss`` of all tokens.
        audience: The ``aud`` of all tokens.
        clock: What tokens expire by.

    Raises:
        ValueError: A secret is too short, or is a key of another kind. The message does not hold it.
    """

    def __init__(
        self, *, secret: bytes, previous_secret: bytes | None, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._clock = clock
        self._secret = checked_secret(secret)
        self._headers = _headers(secret)
        # Times are compared with our clock, not with the library's.
        options: Options = {
            "require": list(_REQUIRED),
            "strict_aud": True,
            "enforce_minimum_key_length": True,
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
        }
        self._jwt = jwt.PyJWT(options)
        self._secrets = {self._first_part(secret): secret}
        if previous_secret is not None:
            self._secrets.setdefault(self._first_part(checked_secret(previous_secret)), previous_secret)
        self._known: OrderedDict[str, _Verified] = OrderedDict()
        self._remembering = threading.Lock()

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
        known = self._known.get(token)
        verified = known or self._read(token)
        now = self._clock.now()
        if verified is None or now >= verified.claims.expires_at or now < verified.good_from:
            # Raised here, out of reach of the library's errors: some quote the token, one keeps all of its text.
            raise InvalidToken
        if known is None:
            self._remember(token, verified)
        return verified.claims

    def _remember(self, token: str, verified: _Verified) -> None:
        with self._remembering:
            self._known[token] = verified
            while len(self._known) > MAX_READ:
                # What came first is the nearest to its end, and is read again if need be.
                self._known.popitem(last=False)

    def _read(self, token: str) -> _Verified | None:
        """Return what a token of ours says, at whatever time; None if it is not one."""
        if len(token) > MAX_TOKEN_BYTES or not _is_canonical(token):
            return None
        secret = self._secrets.get(token.partition(".")[0])
        if secret is None:
            return None
        try:
            payload = self._jwt.decode(
                token, secret, algorithms=[ALGORITHM], audience=self._audience, issuer=self._issuer
            )
            return _verified(payload)
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError, OSError):
            return None

    def _first_part(self, secret: bytes) -> str:
        return self._jwt.encode({}, secret, algorithm=ALGORITHM, headers=_headers(secret)).partition(".")[0]


def checked_secret(secret: bytes) -> bytes:
    """Return `secret` if tokens can be signed with it.

    Raises:
        ValueError: It is too short, or is a key of another kind. The message does not hold it.
    """
    if len(secret) < MIN_SECRET_BYTES:
        msg = f"must have at least {MIN_SECRET_BYTES} bytes"
        raise ValueError(msg)
    if _is_another_kind_of_key(secret):
        msg = "must be random text; this is a PEM, DER, SSH or JWK key, or a certificate"
        raise ValueError(msg)
    return secret


def _is_another_kind_of_key(secret: bytes) -> bool:
    # The library would refuse it too, but at the first sign-in only.
    try:
        jwt.get_algorithm_by_name(ALGORITHM).prepare_key(secret)
    except jwt.InvalidKeyError:
        return True
    return False


def _headers(secret: bytes) -> dict[str, str]:
    # The id of a secret says which one to verify with; the secret cannot be learned from it.
    return {"typ": TYPE, "kid": hashlib.sha256(b"songs key id\0" + secret).hexdigest()[:16]}


def _is_canonical(token: str) -> bool:
    """Return whether `token` is three parts of base64url with their unused bits zero, so that no bit can be changed."""
    if _COMPACT.fullmatch(token) is None:
        return False
    for part in token.split("."):
        rest = len(part) % 4
        if rest == 1 or (rest and part[-1] not in (_LAST_OF_TWO if rest == 2 else _LAST_OF_THREE)):  # noqa: PLR2004
            return False
    return True


def _verified(payload: dict[str, Any]) -> _Verified | None:
    claims = _claims(payload)
    good_from = claims and _good_from(payload, claims)
    return _Verified(claims, good_from) if claims and good_from else None


def _claims(payload: dict[str, Any]) -> AccessClaims | None:
    texts = tuple(payload[name] for name in ("sub", "jti", "name", "role"))
    numbers = tuple(payload[name] for name in ("iat", "exp", "ver"))
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        return None
    user_id, token_id, name, role = texts
    issued_at, expires_at, version = numbers
    if not is_id(user_id) or not is_id(token_id):
        return None
    return AccessClaims(
        token_id=token_id,
        user_id=user_id,
        name=name,
        role=Role(role),
        token_version=version,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
    )


def _good_from(payload: dict[str, Any], claims: AccessClaims) -> datetime | None:
    issued_at = claims.issued_at - ISSUED_AHEAD
    if "nbf" not in payload:
        return issued_at
    not_before = payload["nbf"]
    return max(issued_at, datetime.fromtimestamp(not_before, UTC)) if type(not_before) is int else None
