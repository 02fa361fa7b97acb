"""Access tokens."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songs.errors import InvalidToken
from songs.model import Role
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs_contract.harness.subject import Subject
from songs_contract.law import clause
from songs_contract.models.samples import claims_at
from songs_plugins import Port

PORT = Port.TOKENS


@pytest.fixture
def tokens(subject: Subject) -> TokenIssuer:
    """The issuer under test."""
    issuer: TokenIssuer = subject.build()
    return issuer


@pytest.fixture
def claims(subject: Subject) -> AccessClaims:
    """Claims that are good for ten minutes from now."""
    return claims_at(subject.clock.now().replace(microsecond=0))


def refused(tokens: TokenIssuer, token: str) -> bool:
    """Return whether a token is refused by the one error for that, which tells nothing of it."""
    try:
        tokens.verify(token)
    except InvalidToken as error:
        shown = f"{error!r} {error} {error.__cause__!r}"
        return len(token) < 20 or token not in shown
    return False


@clause("TOK-1")
@pytest.mark.parametrize("role", Role)
def test_round_trip(tokens: TokenIssuer, claims: AccessClaims, role: Role) -> None:
    """A token says what it was issued for."""
    for each in (
        replace(claims, role=role),
        replace(claims, role=role, name="a" * 50, user_id="Z" * 64, token_id="_" * 64),
        replace(claims, role=role, token_version=2**53),
    ):
        assert tokens.verify(tokens.issue(each)) == each


@clause("TOK-1")
def test_another_object_with_the_same_settings(subject: Subject, tokens: TokenIssuer, claims: AccessClaims) -> None:
    """All processes of a service accept each other's tokens."""
    other: TokenIssuer = subject.build()
    assert other.verify(tokens.issue(claims)) == claims


@clause("TOK-2")
def test_expiry(subject: Subject, tokens: TokenIssuer, claims: AccessClaims) -> None:
    """A token is good until the second before it expires, by the clock that the issuer was made with."""
    token = tokens.issue(claims)
    subject.clock.advance(590)
    assert tokens.verify(token) == claims
    subject.clock.advance(11)
    assert refused(tokens, token)


@clause("TOK-2")
@pytest.mark.parametrize(("ahead_s", "good"), [(30, True), (59, True), (63, False), (3600, False)])
def test_tokens_from_the_future(tokens: TokenIssuer, claims: AccessClaims, ahead_s: int, good: bool) -> None:  # noqa: FBT001
    """Clocks may differ by a minute; what is further ahead is refused."""
    later = timedelta(seconds=ahead_s)
    each = replace(claims, issued_at=claims.issued_at + later, expires_at=claims.expires_at + later)
    assert refused(tokens, tokens.issue(each)) is not good


@clause("TOK-3")
def test_no_byte_can_be_changed(tokens: TokenIssuer, claims: AccessClaims) -> None:
    """Whichever character is changed, dropped or doubled, the token is refused."""
    token = tokens.issue(claims)
    # Accepted before, so that it does not help to remember what was.
    assert tokens.verify(token) == claims
    for i, character in enumerate(token):
        for other in ("A" if character != "A" else "B", chr(ord(character) ^ 1), ""):
            assert refused(tokens, token[:i] + other + token[i + 1 :]), f"character {i} may become {other!r}"
        assert refused(tokens, token[:i] + character + token[i:]), f"character {i} may be doubled"


@clause("TOK-3")
def test_nothing_can_be_added(tokens: TokenIssuer, claims: AccessClaims) -> None:
    """A token has one spelling."""
    token = tokens.issue(claims)
    for other in (
        f" {token}",
        f"{token} ",
        f"{token}\n",
        f"{token}=",
        f"{token}.",
        f".{token}",
        f"Bearer {token}",
        token + token,
    ):
        assert refused(tokens, other), repr(other[-10:])


@clause("TOK-3")
def test_tokens_of_another_place(subject: Subject, claims: AccessClaims, tokens: TokenIssuer, tmp_path: Path) -> None:
    """What was issued with another secret is refused."""
    if subject.spec.sandbox is None:
        pytest.skip("declared unsupported: sandbox")
    folder = tmp_path / "another"
    folder.mkdir()
    with subject.spec.sandbox(folder) as settings:
        other: TokenIssuer = replace(subject, settings=settings).build()
        assert refused(tokens, other.issue(claims))


@clause("TOK-3")
@pytest.mark.parametrize("member", ["issuer", "audience"])
def test_tokens_for_others(subject: Subject, claims: AccessClaims, tokens: TokenIssuer, member: str) -> None:
    """What another issuer made, or made for another audience, is refused though the secret is the same."""
    if member not in type(subject.settings).model_fields:
        pytest.skip(f"declared unsupported: {member}")
    settings = subject.settings.model_copy(update={member: "another"})
    other: TokenIssuer = replace(subject, settings=settings).build()
    assert refused(tokens, other.issue(claims))


@clause("TOK-3")
def test_length(tokens: TokenIssuer, claims: AccessClaims) -> None:
    """What is longer than 4096 bytes is refused, rightly signed or not."""
    assert refused(tokens, tokens.issue(replace(claims, name="n" * 5000)))
    assert refused(tokens, "A" * 1_000_000)


@clause("TOK-3")
def test_forgeries(tokens: TokenIssuer, claims: AccessClaims) -> None:
    """Unsigned tokens, and such as are signed with a guessed secret, are refused, whatever algorithm they name."""
    now = int(claims.issued_at.timestamp())
    payload = {
        "iss": "songs-api",
        "aud": "songs-api",
        "sub": claims.user_id,
        "jti": claims.token_id,
        "iat": now,
        "exp": now + 600,
        "name": claims.name,
        "role": "admin",
        "ver": 1,
    }
    for algorithm in ("none", "None", "HS256", "HS512", "RS256", ""):
        for kind in ("at+jwt", "JWT"):
            for secret in (b"", b"secret", b"songs-api"):
                assert refused(tokens, _signed({"alg": algorithm, "typ": kind}, payload, secret))


def _signed(header: dict[str, object], payload: dict[str, object], secret: bytes) -> str:
    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(payload).encode())}"
    digest = "sha512" if header["alg"] == "HS512" else "sha256"
    signature = b"" if str(header["alg"]).lower() == "none" else hmac.digest(secret, signed.encode(), digest)
    return f"{signed}.{part(signature)}"


@clause("TOK-4")
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,4}", fullmatch=True))
def test_garbage(tokens: TokenIssuer, text: str) -> None:
    """Whatever is not a token is refused, and by no other error."""
    assert refused(tokens, text)


@clause("TOK-4")
@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "e30.e30.e30", "\x00", "\ud800", "é.é.é", "W10.W10.W10", "." * 4000]
)
def test_more_garbage(tokens: TokenIssuer, text: str) -> None:
    """Shapes that parsers stumble over are refused like the rest."""
    assert refused(tokens, text)


@clause("TOK-4")
def test_garbage_inside(tokens: TokenIssuer) -> None:
    """Parts that are no JSON object, are nested deeply, or name strange keys, are refused like the rest."""
    parts = [
        b"[]",
        b"null",
        b"1",
        b"{",
        b"[" * 1500,
        b'{"kid": []}',
        b'{"kid": {"a": 1}}',
        b'{"alg": 1}',
        b"\xff",
        b"NaN",
    ]
    for part in parts:
        encoded = base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        signature = base64.urlsafe_b64encode(hashlib.sha256(part).digest()).rstrip(b"=").decode()
        assert refused(tokens, f"{encoded}.{encoded}.{signature}")


@clause("TOK-5")
def test_form(tokens: TokenIssuer, claims: AccessClaims) -> None:
    """A token can stand in an Authorization header."""
    assert re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", tokens.issue(claims))
