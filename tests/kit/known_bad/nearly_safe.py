"""Tokens and passwords that are right in most examples, and wrong in a corner."""

from collections.abc import Callable
from datetime import datetime, timedelta
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
