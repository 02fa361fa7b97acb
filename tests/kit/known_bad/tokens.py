"""Access tokens that are wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from songs.errors import InvalidToken
from songs.model import Role
from songs.ports.tokens import AccessClaims
from songs_plugins import AdapterContext, AdapterSpec
from songs_security.jwt_plugin import JwtSettings, songs_adapters
from songs_security.tokens import MAX_TOKEN_BYTES, JwtTokens

from .planting import changed

THE_SAME_FOR_ALL = b"a secret that is in the source code"


def tokens(kind: Callable[..., JwtTokens]) -> AdapterSpec:
    """Return the descriptor of a class of tokens."""

    def factory(settings: JwtSettings, context: AdapterContext) -> JwtTokens:
        return kind(
            secret=settings.secret.get_secret_value().encode(),
            previous_secret=None,
            issuer=settings.issuer,
            audience=settings.audience,
            clock=context.clock,
        )

    return changed(next(iter(songs_adapters())), factory)


class _LosesTheRole(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Take everybody for a user."""
        return replace(super().verify(token), role=Role.USER)


role_is_lost = tokens(_LosesTheRole)


class _NeverExpires(JwtTokens):
    def issue(self, claims: AccessClaims) -> str:
        """Issue for a year longer."""
        return super().issue(replace(claims, expires_at=claims.expires_at + timedelta(days=365)))


expiry_is_ignored = tokens(_NeverExpires)


class _FromTheFuture(JwtTokens):
    def issue(self, claims: AccessClaims) -> str:
        """Leave out how far ahead the time of issue lies."""
        return super().issue(replace(claims, issued_at=min(claims.issued_at, self._clock.now())))


time_of_issue_is_ignored = tokens(_FromTheFuture)


class _Believes(JwtTokens):
    """Gives a token that was refused a second chance, with less to ask of it."""

    def verify(self, token: str) -> AccessClaims:
        """Verify, then verify less."""
        try:
            return super().verify(token)
        except InvalidToken:
            return self.second_look(token)

    def second_look(self, token: str) -> AccessClaims:
        """Return what a token says, if it is signed."""
        options: Any = {"verify_aud": False, "verify_iat": False, "verify_exp": False}
        try:
            payload = jwt.decode(token, self._secret, algorithms=["HS256"], options=options, **self.expected())
        except jwt.PyJWTError:
            raise InvalidToken from None
        return claims_of(payload)

    def expected(self) -> dict[str, Any]:
        """Return what a token must name."""
        return {"audience": self._audience, "issuer": self._issuer}


def claims_of(payload: dict[str, Any]) -> AccessClaims:
    """Return what a token's payload says."""
    return AccessClaims(
        token_id=payload["jti"],
        user_id=payload["sub"],
        name=payload["name"],
        role=Role(payload["role"]),
        token_version=payload["ver"],
        issued_at=datetime.fromtimestamp(payload["iat"], UTC),
        expires_at=datetime.fromtimestamp(payload["exp"], UTC),
    )


class _Unsigned(_Believes):
    def second_look(self, token: str) -> AccessClaims:
        """Take the token's own word for how it is signed."""
        try:
            if jwt.get_unverified_header(token)["alg"].lower() == "none":
                return claims_of(jwt.decode(token, options={"verify_signature": False}))
        except jwt.PyJWTError:
            pass
        raise InvalidToken


unsigned_token_is_accepted = tokens(_Unsigned)


class _AnyAudience(_Believes):
    def expected(self) -> dict[str, Any]:
        """Ask for no audience."""
        return {"issuer": self._issuer}


audience_is_unchecked = tokens(_AnyAudience)


class _AnyIssuer(_Believes):
    def expected(self) -> dict[str, Any]:
        """Ask for no issuer."""
        return {"audience": self._audience}


issuer_is_unchecked = tokens(_AnyIssuer)


class _OneSecret(JwtTokens):
    def __init__(self, *, secret: bytes, **rest: Any) -> None:
        super().__init__(secret=THE_SAME_FOR_ALL, **rest)


secret_is_the_same_for_all = tokens(_OneSecret)


class _TwoSpellings(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Accept white space around a token."""
        return super().verify(token.strip())


token_has_two_spellings = tokens(_TwoSpellings)


class _AnyLength(_Believes):
    def second_look(self, token: str) -> AccessClaims:
        """Believe a signed token, however long it is."""
        if len(token) <= MAX_TOKEN_BYTES:
            raise InvalidToken
        return super().second_look(token)


token_of_any_length = tokens(_AnyLength)


class _LeaksValueErrors(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Count the parts by unpacking them."""
        _header, _payload, _signature = token.split(".")
        return super().verify(token)


value_error_leaks = tokens(_LeaksValueErrors)


class _Quotes(JwtTokens):
    def verify(self, token: str) -> AccessClaims:
        """Say which token was refused."""
        try:
            return super().verify(token)
        except InvalidToken:
            raise InvalidToken(f"The token {token} is not valid.") from None


error_quotes_the_token = tokens(_Quotes)


class _WithSpaces(JwtTokens):
    def issue(self, claims: AccessClaims) -> str:
        """Put a label before the token."""
        return f"token: {super().issue(claims)}"

    def verify(self, token: str) -> AccessClaims:
        """Take the label away."""
        return super().verify(token.removeprefix("token: "))


token_fits_no_header = tokens(_WithSpaces)
