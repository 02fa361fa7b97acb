"""Tokens that the right secret signed, and that must be refused all the same.

The kit can make those where tokens are JSON Web Tokens under HS256 and the secret is one of the adapter's settings.
For tokens of another kind these tests are counted as unsupported, and the others stand for themselves.
"""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from songs.errors import InvalidToken
from songs.ports.tokens import TokenIssuer
from songs_contract.harness.near_misses import near_misses
from songs_contract.harness.subject import StandingClock, Subject
from songs_contract.law import clause
from songs_contract.models.samples import claims_at
from songs_plugins import Port

PORT = Port.TOKENS

NOW = datetime(2026, 2, 28, 23, 59, 30, tzinfo=UTC)
DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
Json = dict[str, Any]
CLAIMS = claims_at(NOW)


@pytest.fixture
def clock() -> StandingClock:
    """The clock of the issuer under test."""
    return StandingClock(NOW)


@pytest.fixture
def tokens(subject: Subject, clock: StandingClock) -> TokenIssuer:
    """The issuer under test."""
    issuer: TokenIssuer = replace(subject, clock=clock).build()
    return issuer


@dataclass(frozen=True)
class Forge:
    """Signs whatever it is given, as the issuer would."""

    secret: bytes
    header: Json
    payload: Json

    def token(self, header: Json | None = None, payload: Json | None = None) -> str:
        """Return a token with another header or payload, signed by the algorithm that its header names."""
        header = self.header if header is None else header
        signed = f"{_part(header)}.{_part(self.payload if payload is None else payload)}"
        digest = DIGESTS.get(str(header.get("alg")))
        return f"{signed}.{_encode(hmac.digest(self.secret, signed.encode(), digest)) if digest else ''}"


@pytest.fixture
def forge(subject: Subject, tokens: TokenIssuer) -> Forge:
    """What signs as the issuer does."""
    token = tokens.issue(CLAIMS)
    signed, _, signature = token.rpartition(".")
    for name in type(subject.settings).model_fields:
        value = getattr(subject.settings, name)
        secret = value.get_secret_value().encode() if isinstance(value, SecretStr) else b""
        if secret and _encode(hmac.digest(secret, signed.encode(), "sha256")) == signature:
            header, payload = (json.loads(_decode(part)) for part in signed.split("."))
            return Forge(secret, header, payload)
    pytest.skip("declared unsupported: JSON Web Tokens under HS256")


def refused(tokens: TokenIssuer, token: str) -> bool:
    """Return whether a token is refused."""
    try:
        tokens.verify(token)
    except InvalidToken:
        return True
    return False


@clause("TOK-2")
def test_the_second_of_expiry(tokens: TokenIssuer, clock: StandingClock) -> None:
    """A token is good until the last millisecond before `expires_at`, and from then on no more."""
    token = tokens.issue(CLAIMS)
    for before in (timedelta(seconds=1), timedelta(milliseconds=1)):
        clock.at = CLAIMS.expires_at - before
        assert tokens.verify(token) == CLAIMS
    for after in (timedelta(), timedelta(milliseconds=1), timedelta(days=4000)):
        clock.at = CLAIMS.expires_at + after
        assert refused(tokens, token)


@clause("TOK-2")
def test_the_minute_ahead(tokens: TokenIssuer, clock: StandingClock) -> None:
    """A token from a clock that is a minute ahead is good, one from further ahead is not."""
    token = tokens.issue(CLAIMS)
    clock.at = NOW - timedelta(seconds=60)
    assert tokens.verify(token) == CLAIMS
    clock.at = NOW - timedelta(seconds=60, milliseconds=1)
    assert refused(tokens, token)


@clause("TOK-1")
def test_the_forge_works(tokens: TokenIssuer, forge: Forge) -> None:
    """What the kit signs without a change is accepted, so that the refusals below are for the change alone."""
    assert tokens.verify(forge.token()) == CLAIMS


@clause("TOK-3")
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", None])
def test_other_algorithms(tokens: TokenIssuer, forge: Forge, algorithm: str | None) -> None:
    """Whatever algorithm a token names, but the one, it is refused: unsigned, and signed with the right secret."""
    header = {**forge.header, "alg": algorithm}
    assert refused(tokens, forge.token(header))
    assert refused(tokens, f"{_part(header)}.{_part(forge.payload)}.{forge.token().rpartition('.')[2]}")


@clause("TOK-3")
@pytest.mark.parametrize("kind", ["JWT", "jwt", "refresh+jwt", "", None, 1])
def test_other_types(tokens: TokenIssuer, forge: Forge, kind: object) -> None:
    """A token that was made for something else is no access token."""
    assert refused(tokens, forge.token({**forge.header, "typ": kind}))
    assert refused(tokens, forge.token({name: each for name, each in forge.header.items() if name != "typ"}))


@clause("TOK-3")
@pytest.mark.parametrize("claim", ["iss", "aud"])
@pytest.mark.parametrize("value", ["another", "", "SONGS-API", ["another"], 1, None, {}])
def test_other_issuers_and_audiences(tokens: TokenIssuer, forge: Forge, claim: str, value: object) -> None:
    """A token of another service, or for another one, is refused though the secret is shared."""
    assert refused(tokens, forge.token(payload={**forge.payload, claim: value}))


@clause("TOK-3")
@pytest.mark.parametrize("claim", ["iss", "aud", "role"])
def test_claims_that_are_nearly_right(tokens: TokenIssuer, forge: Forge, claim: str) -> None:
    """Issuer, audience and role are compared whole and exactly; a list that holds the right one is none."""
    right = str(forge.payload[claim])
    for name, value in {**near_misses(right), "a list": [right], "one of a list": [right, "x"]}.items():
        token = forge.token(payload={**forge.payload, claim: value})
        assert refused(tokens, token), f"{claim!r} may be {value!r}: {name}"


@clause("TOK-3")
@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"crit": ["x"], "x": 1}])
def test_headers_that_must_be_understood(tokens: TokenIssuer, forge: Forge, header: Json) -> None:
    """A token that says that it means something else than it seems is refused (RFC 7515, section 4.1.11)."""
    assert refused(tokens, forge.token({**forge.header, **header}))


@clause("TOK-3")
def test_keys_in_a_header(tokens: TokenIssuer, forge: Forge) -> None:
    """A token that brings along what it was signed with, or says where to find it, is refused."""
    own = b"the secret of somebody else, of many bytes"
    key = {"kty": "oct", "alg": "HS256", "k": _encode(own)}
    for extra in ({"jwk": key}, {"jku": "https://example.org/keys"}, {"x5c": [_encode(own)]}, {"kid": _encode(own)}):
        assert refused(tokens, replace(forge, secret=own).token({**forge.header, **extra}))


@clause("TOK-3")
@pytest.mark.parametrize("kept", [0, 1, 16, 22, 32, 42])
def test_a_part_of_the_signature(tokens: TokenIssuer, forge: Forge, kept: int) -> None:
    """The whole signature counts, also where the token was accepted before."""
    token = forge.token()
    assert tokens.verify(token) == CLAIMS
    signed, _, signature = token.rpartition(".")
    assert refused(tokens, f"{signed}.{signature[:kept]}")
    assert refused(tokens, f"{signed}.{signature[:kept]}{'A' * (len(signature) - kept)}")


@clause("TOK-2")
def test_not_before(tokens: TokenIssuer, clock: StandingClock, forge: Forge) -> None:
    """Where another program that knows the secret says from when on a token is good, it is refused until then."""
    second = int(NOW.timestamp())
    assert tokens.verify(forge.token(payload={**forge.payload, "nbf": second})) == CLAIMS
    token = forge.token(payload={**forge.payload, "nbf": second + 60})
    for before in (timedelta(seconds=60), timedelta(milliseconds=1)):
        clock.at = NOW + timedelta(seconds=60) - before
        assert refused(tokens, token)
    clock.at = NOW + timedelta(seconds=60)
    assert tokens.verify(token) == CLAIMS
    wrongs: tuple[object, ...] = (str(second), None, [], True, second + 0.5)
    for wrong in wrongs:
        assert refused(tokens, forge.token(payload={**forge.payload, "nbf": wrong})), f"nbf may be {wrong!r}"


@clause("TOK-2")
def test_a_clock_that_goes_to_and_fro(tokens: TokenIssuer, clock: StandingClock) -> None:
    """Whether a token is good is a matter of this moment, not of what was found before."""
    token = tokens.issue(CLAIMS)
    for _ in range(2):
        for at, good in (
            (NOW - timedelta(seconds=61), False),
            (NOW, True),
            (CLAIMS.expires_at, False),
            (CLAIMS.expires_at - timedelta(milliseconds=1), True),
        ):
            clock.at = at
            assert refused(tokens, token) is not good


@clause("TOK-3", "TOK-4")
def test_missing_claims(tokens: TokenIssuer, forge: Forge) -> None:
    """A token without any one of its claims is refused."""
    for missing in forge.payload:
        payload = {name: value for name, value in forge.payload.items() if name != missing}
        assert refused(tokens, forge.token(payload=payload)), f"a token without {missing!r} is accepted"


@clause("TOK-3", "TOK-4")
def test_claims_of_another_type(tokens: TokenIssuer, forge: Forge) -> None:
    """A token in which a claim is of the wrong type is refused, however easily it could be converted."""
    for claim, value in forge.payload.items():
        number = isinstance(value, int)
        wrong: list[object] = [str(value), value + 0.5, float(value), 1e300] if number else [7]
        for other in (*wrong, None, True, [], {}, {"a": value}):
            token = forge.token(payload={**forge.payload, claim: other})
            assert refused(tokens, token), f"a token with {claim!r}: {other!r} is accepted"


@clause("TOK-4")
@pytest.mark.parametrize("value", [10**30, -(10**30), -1, 0])
def test_numbers_beyond_any_calendar(tokens: TokenIssuer, forge: Forge, value: int) -> None:
    """Whatever a number is, the answer is claims or the one error."""
    for claim, before in forge.payload.items():
        if isinstance(before, int):
            refused(tokens, forge.token(payload={**forge.payload, claim: value}))


@clause("TOK-3", "TOK-4")
@pytest.mark.parametrize("role", ["root", "", "ADMIN", "user "])
def test_roles_that_there_are_not(tokens: TokenIssuer, forge: Forge, role: str) -> None:
    """A role that this version does not know is refused, not passed on."""
    names = [name for name, value in forge.payload.items() if value == CLAIMS.role.value]
    for name in names:
        assert refused(tokens, forge.token(payload={**forge.payload, name: role}))


@clause("TOK-4")
@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.lower(), lambda t: t[1:]], ids=range(4)
)
def test_errors_tell_nothing(tokens: TokenIssuer, change: Callable[[str], str]) -> None:
    """No part of a refused token is in the error, nor in the errors behind it."""
    token = change(tokens.issue(CLAIMS))
    with pytest.raises(InvalidToken) as caught:
        tokens.verify(token)
    told = ""
    error: BaseException | None = caught.value
    while error is not None:
        told += f"{error!r} {error} {getattr(error, '__notes__', '')}"
        error = error.__cause__ or error.__context__
    assert [token[i : i + 8] for i in range(len(token) - 7) if token[i : i + 8] in told] == []


@clause("TOK-4")
def test_expired_errors_tell_nothing(tokens: TokenIssuer, clock: StandingClock) -> None:
    """Whose token has expired is not in the error."""
    token = tokens.issue(replace(CLAIMS, name="Secret.Name", user_id="secret-id"))
    clock.at = CLAIMS.expires_at
    with pytest.raises(InvalidToken) as caught:
        tokens.verify(token)
    assert "ecret" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def _part(content: Json) -> str:
    return _encode(json.dumps(content, separators=(",", ":")).encode())


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
