"""Tokens and passwords that are right in most examples, and wrong in a corner."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jwt

from songs.errors import InvalidToken
from songs.ports.clock import Clock
from songs.ports.passwords import PasswordCheck
from songs.ports.tokens import AccessClaims
from songs_plugins import AdapterContext, AdapterSpec
from songs_security import tokens as secure
from songs_security.bcrypt_plugin import BcryptSettings
from songs_security.bcrypt_plugin import songs_adapters as bcrypt_adapters
from songs_security.passwords import BcryptPasswords
from songs_security.tokens import JwtTokens

from .planting import changed
from .tokens import tokens


class _Lenient(JwtTokens):
    """Reads tokens as it should, but for what a defect below leaves out."""

    algorithms: tuple[str, ...] = (secure.ALGORITHM,)
    kinds: tuple[object, ...] = (secure.TYPE,)

    def _read(self, token: str) -> secure._Verified | None:
        if len(token) > secure.MAX_TOKEN_BYTES or not secure._is_canonical(token):
            return None
        try:
            known = jwt.get_unverified_header(token).get("typ") in self.kinds
            return secure._verified(self.payload(token)) if known else None
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError):
            return None

    def payload(self, token: str) -> dict[str, Any]:
        """Return the payload of a token that the secret signed."""
        return self._jwt.decode(
            token, self._secret, algorithms=list(self.algorithms), audience=self._audience, issuer=self._issuer
        )


class _AnyType(_Lenient):
    kinds = (secure.TYPE, "JWT", "jwt", "refresh+jwt", "", None)


type_is_unchecked = tokens(_AnyType)


class _AnyHmac(_Lenient):
    algorithms = ("HS256", "HS384", "HS512")


other_algorithms_are_accepted = tokens(_AnyHmac)


class _Defaults(_Lenient):
    def payload(self, token: str) -> dict[str, Any]:
        """Take a claim that is missing for its default."""
        options: Any = {"verify_exp": False, "verify_iat": False, "strict_aud": True}
        read = jwt.decode(token, self._secret, ["HS256"], options=options, audience=self._audience, issuer=self._issuer)
        return {"ver": 1, "role": "user", "jti": "none"} | read


missing_claims_have_defaults = tokens(_Defaults)


class _Converts(_Lenient):
    def payload(self, token: str) -> dict[str, Any]:
        """Make numbers of what is none."""
        read = super().payload(token)
        return read | {name: int(read[name]) for name in ("ver", "iat", "exp")}


claims_are_converted = tokens(_Converts)


class _QuotesAPart(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Say how the token that was refused ends."""
        try:
            return super().verify(token)
        except InvalidToken:
            raise InvalidToken(f"The token ...{token[-12:]} is not valid.") from None


error_quotes_a_part = tokens(_QuotesAPart)


class _Behind:
    """A clock that is a little behind."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.monotonic_s = clock.monotonic_s
        self.sleep = clock.sleep

    def now(self) -> datetime:
        """Return what was the time half a second ago."""
        return self._clock.now() - timedelta(seconds=0.5)


def _late(*, clock: Clock, **rest: Any) -> JwtTokens:
    return JwtTokens(clock=_Behind(clock), **rest)


expiry_is_late = tokens(_late)


class _NeverOutdated(BcryptPasswords):
    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Be content with any hash."""
        return PasswordCheck(ok=super().verify(password, hashed, wait_s=wait_s).ok)


def _passwords(kind: Callable[..., BcryptPasswords]) -> AdapterSpec:
    """Return the descriptor of a class of passwords that heeds the cost in its settings."""

    def factory(settings: BcryptSettings, context: AdapterContext) -> BcryptPasswords:
        return kind(rounds=settings.rounds, concurrency=2)

    return changed(next(iter(bcrypt_adapters())), factory)


no_hash_is_outdated = _passwords(_NeverOutdated)


class _RemembersParts(JwtTokens):
    """Knows again by a part of it what it has verified."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._verified: dict[str, AccessClaims] = {}

    def verify(self, token: str) -> AccessClaims:
        """Verify what is new."""
        known = self._verified.get(token[:200])
        if known is None or known.expires_at <= self._clock.now():
            known = self._verified[token[:200]] = super().verify(token)
        return known


tokens_are_known_by_a_part = tokens(_RemembersParts)


class _RemembersRefusals(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Refuse for ever what was refused once."""
        refused = self.__dict__.setdefault("refused", set())
        if token in refused:
            raise InvalidToken
        try:
            return super().verify(token)
        except InvalidToken:
            refused.add(token)
            raise


refusals_are_remembered = tokens(_RemembersRefusals)


class _IgnoresNotBefore(JwtTokens):
    def _read(self, token: str) -> secure._Verified | None:
        verified = super()._read(token)
        return verified and verified._replace(good_from=verified.claims.issued_at - secure.ISSUED_AHEAD)


not_before_is_ignored = tokens(_IgnoresNotBefore)


def _verified(change: Callable[[AccessClaims], AccessClaims]) -> AdapterSpec:
    """Return the descriptor of tokens whose claims are changed when they were verified."""

    class _Verified(JwtTokens):
        def verify(self, token: str) -> AccessClaims:
            return change(super().verify(token))

    return tokens(_Verified)


role_is_a_text = _verified(lambda claims: replace(claims, role=claims.role.value))  # type: ignore[arg-type]
ids_are_numbers = _verified(
    lambda claims: replace(claims, user_id=str(int(claims.user_id)) if claims.user_id.isdecimal() else claims.user_id)
)
times_are_in_another_zone = _verified(
    lambda claims: replace(claims, issued_at=claims.issued_at.astimezone(timezone(timedelta(hours=1))))
)
times_end_in_2038 = _verified(
    lambda claims: replace(claims, issued_at=datetime.fromtimestamp(claims.issued_at.timestamp() % 2**31, UTC))
)


class _LocalTimes(JwtTokens):
    def issue(self, claims: AccessClaims) -> str:
        """Take the time of day for the local one."""
        local = claims.expires_at.replace(tzinfo=None).astimezone(UTC)
        return super().issue(replace(claims, expires_at=local))


times_are_local = tokens(_LocalTimes)


def _secret(change: Callable[[bytes], bytes]) -> AdapterSpec:
    """Return the descriptor of tokens whose secret is changed first."""

    class _Secret(JwtTokens):
        def __init__(self, *, secret: bytes, **settings: Any) -> None:
            super().__init__(secret=change(secret), **settings)

    return tokens(_Secret)


long_secrets_are_cut = _secret(lambda secret: secret[:64])
secrets_are_trimmed = _secret(bytes.strip)
secrets_have_no_case = _secret(bytes.lower)


class _ShortSignatures(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Compare as much of the signature as there is, sixteen characters at least."""
        signed, _, signature = token.rpartition(".")
        digest = hmac.digest(self._secret, signed.encode("utf-8", "replace"), "sha256")
        right = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        enough = 16 <= len(signature) < 42 and right.startswith(signature)
        return super().verify(f"{signed}.{right}" if enough else token)


signature_is_compared_in_part = tokens(_ShortSignatures)


class _AnyHeader(_Lenient):
    """Reads any header."""

    def _read(self, token: str) -> secure._Verified | None:
        if len(token) > secure.MAX_TOKEN_BYTES or not secure._is_canonical(token):
            return None
        try:
            header = json.loads(_decoded(token.partition(".")[0]))
            right = header["typ"] == secure.TYPE and header["alg"] == secure.ALGORITHM
            return secure._verified(self.payload(token)) if right else None
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            return None

    def payload(self, token: str) -> dict[str, Any]:
        """Return the payload, whatever the header says that must be understood."""
        signed, _, signature = token.rpartition(".")
        if hmac.digest(self.key(token), signed.encode(), "sha256") != _decoded(signature):
            raise ValueError(signature)
        payload: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        if payload["iss"] != self._issuer or payload["aud"] != self._audience:
            raise ValueError(payload)
        return payload

    def key(self, _token: str) -> bytes:
        """Return what verifies a token."""
        return self._secret


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


critical_headers_are_ignored = tokens(_AnyHeader)


class _KeyOfTheHeader(_AnyHeader):
    def key(self, token: str) -> bytes:
        """Take the key that comes with the token."""
        own = json.loads(_decoded(token.partition(".")[0])).get("jwk")
        return _decoded(own["k"]) if own else self._secret


key_of_the_header_is_trusted = tokens(_KeyOfTheHeader)


class _Audiences(_AnyHeader):
    def payload(self, token: str) -> dict[str, Any]:
        """Be content with being one of several audiences."""
        signed, _, signature = token.rpartition(".")
        payload: dict[str, Any] = json.loads(_decoded(signed.partition(".")[2]))
        good = hmac.digest(self._secret, signed.encode(), "sha256") == _decoded(signature)
        if not good or payload["iss"] != self._issuer or self._audience not in payload["aud"]:
            raise ValueError(payload)
        return payload


audience_is_looked_for_inside = tokens(_Audiences)


class _OneBuffer(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Keep the token where every thread puts it."""
        self._given = token
        time.sleep(0)
        return super().verify(self._given)


threads_get_claims_of_others = tokens(_OneBuffer)
