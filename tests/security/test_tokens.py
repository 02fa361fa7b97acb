"""Tokens: what only someone who knows the secret, or a clock to the millisecond, can show."""

import base64
import json
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from songs.errors import InvalidToken
from songs.ports.tokens import AccessClaims
from songs_security.tokens import MAX_TOKEN_BYTES, JwtTokens

CLAIMS = ("iss", "aud", "sub", "jti", "iat", "exp", "name", "role", "ver")
TEXTS: tuple[Any, ...] = (..., None, [], {}, True, 1.5, 7, ["audience"])
NUMBERS: tuple[Any, ...] = (..., None, "", "7", [], {}, True, 1.5, -0.0, [7])
TIMES: tuple[Any, ...] = (*NUMBERS, 10**12, 10**18, 10**400, -(10**12), -(10**18))
WRONG: dict[str, tuple[Any, ...]] = {
    "iss": (*TEXTS, "", "issue", "issuers"),
    "aud": (*TEXTS, "", "audienc", ["audience", "other"]),
    "sub": (*TEXTS, "", "u 1", "é", "u" * 65),
    "jti": (*TEXTS, "", "t 1", "é", "t" * 65),
    "iat": TIMES,
    "exp": TIMES,
    "name": TEXTS,
    "role": (*TEXTS, "", "root", "Admin"),
    "ver": NUMBERS,
}
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def _opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload, _ = token.split(".")
    return json.loads(_decoded(header)), json.loads(_decoded(payload))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture
def forge(tokens: JwtTokens, claims: AccessClaims, secret: bytes) -> Callable[..., str]:
    """Makes a token with the right secret, and other headers or claims; ... leaves a member out."""

    def make(*, headers: dict[str, Any] | None = None, payload: Any = None, algorithm: str = "HS256") -> str:
        header, content = _opened(tokens.issue(claims))
        header = {name: value for name, value in {**header, **(headers or {})}.items() if value is not ...}
        header.pop("alg")
        content = {name: value for name, value in {**content, **(payload or {})}.items() if value is not ...}
        content_bytes = json.dumps(content).encode()
        return jwt.PyJWS().encode(content_bytes, secret, algorithm=algorithm, headers={"typ": None, **header})

    return make


def test_a_token_that_is_made_as_ours_are_is_accepted(
    tokens: JwtTokens, claims: AccessClaims, forge: Callable[..., str]
) -> None:
    """The forgeries of these tests are refused for their differences alone: without any, they are accepted."""
    assert tokens.verify(forge()) == claims


def test_type_and_algorithm_are_named(tokens: JwtTokens, claims: AccessClaims) -> None:
    """A token says that it is an access token (RFC 9068), and names its secret without telling it."""
    header, _ = _opened(tokens.issue(claims))
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}
    assert len(header["kid"]) == 16


def test_a_token_of_the_previous_secret_is_accepted(issuer: Callable[..., JwtTokens], claims: AccessClaims) -> None:
    """After the secret was changed, tokens of the one before still verify, and new ones are signed with the new one."""
    before, changed, forgotten = issuer(b"1" * 32), issuer(b"2" * 32, b"1" * 32), issuer(b"2" * 32)
    assert changed.verify(before.issue(claims)) == claims
    assert forgotten.verify(changed.issue(claims)) == claims
    for token, verifier in ((before.issue(claims), forgotten), (changed.issue(claims), before)):
        with pytest.raises(InvalidToken):
            verifier.verify(token)


def test_a_secret_that_was_not_changed_signs(issuer: Callable[..., JwtTokens], claims: AccessClaims) -> None:
    """The same secret as current and as previous one does no harm."""
    tokens = issuer(b"1" * 32, b"1" * 32)
    assert tokens.verify(tokens.issue(claims)) == claims


def test_the_name_of_one_secret_does_not_open_tokens_of_the_other(
    issuer: Callable[..., JwtTokens], claims: AccessClaims
) -> None:
    """A token that names the current secret but was signed with the previous one is refused, and the reverse."""
    old, new = issuer(b"1" * 32), issuer(b"2" * 32, b"1" * 32)
    old_token, new_token = old.issue(claims).split("."), new.issue(claims).split(".")
    for token in ([new_token[0], *old_token[1:]], [old_token[0], *new_token[1:]]):
        with pytest.raises(InvalidToken):
            new.verify(".".join(token))


@pytest.mark.parametrize("other", [{"secret": b"x" * 40}, {"name": "Issuer"}, {"audience": "audience2"}])
def test_tokens_of_other_services_are_refused(
    tokens: JwtTokens, issuer: Callable[..., JwtTokens], claims: AccessClaims, other: dict[str, Any]
) -> None:
    """Another secret, issuer or audience makes a token worthless."""
    with pytest.raises(InvalidToken):
        tokens.verify(issuer(**other).issue(claims))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_secret_is_refused(
    tokens: JwtTokens, forge: Callable[..., str], algorithm: str
) -> None:
    """Only HS256 is accepted."""
    with pytest.raises(InvalidToken):
        tokens.verify(forge(algorithm=algorithm))


@pytest.mark.parametrize(
    "headers",
    [
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"typ": ...},
        {"kid": ...},
        {"kid": "0" * 16},
        {"kid": ""},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False},
        {"jku": "http://127.0.0.1/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
    ],
)
def test_other_headers_with_the_right_signature_are_refused(
    tokens: JwtTokens, forge: Callable[..., str], headers: dict[str, Any]
) -> None:
    """Another type (an id token, say), an unknown secret and any extension are refused."""
    with pytest.raises(InvalidToken):
        tokens.verify(forge(headers=headers))


@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim in CLAIMS for value in WRONG[claim]])
def test_a_claim_that_is_missing_or_of_the_wrong_type_is_refused(
    tokens: JwtTokens, forge: Callable[..., str], claim: str, value: Any
) -> None:
    """Every claim must be there and be what it should, signed or not."""
    with pytest.raises(InvalidToken):
        tokens.verify(forge(payload={claim: value}))


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"7", b"{", b'"text"', b"[" * 2000, b"\xff\xfe", b'{"exp": NaN}', b"1" * 2900]
)
def test_signed_parts_that_are_no_claims_are_refused(
    tokens: JwtTokens, claims: AccessClaims, secret: bytes, payload: bytes
) -> None:
    """What is signed but is no JSON object is refused like all else."""
    header, _ = _opened(tokens.issue(claims))
    with pytest.raises(InvalidToken):
        tokens.verify(jwt.PyJWS().encode(payload, secret, algorithm="HS256", headers=header))


def test_claims_that_we_do_not_know_are_ignored(
    tokens: JwtTokens, claims: AccessClaims, forge: Callable[..., str]
) -> None:
    """A later release may say more in a token; that does not make it worthless here."""
    assert tokens.verify(forge(payload={"scope": "songs"})) == claims


def test_times_are_judged_to_the_millisecond_by_the_given_clock(
    tokens: JwtTokens, claims: AccessClaims, advance: Callable[[float], None]
) -> None:
    """A token is good until the last millisecond before it expires, whatever the machine's own clock says."""
    token = tokens.issue(claims)
    advance(3599.999)
    assert tokens.verify(token) == claims
    advance(0.001)
    with pytest.raises(InvalidToken):
        tokens.verify(token)


def test_a_token_may_come_from_sixty_seconds_ahead(
    tokens: JwtTokens, claims: AccessClaims, advance: Callable[[float], None]
) -> None:
    """The clock of whoever issued it may be ahead by 60 s, and by no millisecond more."""
    token = tokens.issue(claims)
    advance(-60.0)
    assert tokens.verify(token) == claims
    advance(-0.001)
    with pytest.raises(InvalidToken):
        tokens.verify(token)


@pytest.mark.parametrize("remembered", [False, True])
def test_a_token_is_refused_before_its_nbf(
    tokens: JwtTokens,
    claims: AccessClaims,
    forge: Callable[..., str],
    advance: Callable[[float], None],
    *,
    remembered: bool,
) -> None:
    """A signed ``nbf`` counts to the millisecond, also for a token that was accepted before the clock went back."""
    token = forge(payload={"nbf": int(claims.issued_at.timestamp()) + 30})
    if remembered:
        advance(30.0)
        assert tokens.verify(token) == claims
        advance(-30.0)
    advance(29.999)
    with pytest.raises(InvalidToken):
        tokens.verify(token)
    advance(0.001)
    assert tokens.verify(token) == claims


def test_an_nbf_that_has_passed_changes_nothing(
    tokens: JwtTokens, claims: AccessClaims, forge: Callable[..., str], advance: Callable[[float], None]
) -> None:
    """The other times go on to count."""
    token = forge(payload={"nbf": int(claims.issued_at.timestamp()) - 100})
    advance(-60.0)
    assert tokens.verify(token) == claims
    for moved_s in (-0.001, 3660.001):
        advance(moved_s)
        with pytest.raises(InvalidToken):
            tokens.verify(token)


@pytest.mark.parametrize("value", [None, "", "7", [], {}, True, 1.5, -0.0, [7], 10**12, 10**18, 10**400, -(10**18)])
def test_an_nbf_that_is_no_time_is_refused(tokens: JwtTokens, forge: Callable[..., str], value: Any) -> None:
    """The claim may be missing, but it may not be anything else than a number of seconds."""
    with pytest.raises(InvalidToken):
        tokens.verify(forge(payload={"nbf": value}))


@pytest.mark.parametrize("year", [1960, 1970, 2038, 2106, 9998])
def test_every_year_survives(
    tokens: JwtTokens, claims: AccessClaims, advance: Callable[[float], None], year: int
) -> None:
    """Times before 1970 and after 2106 come back as they were."""
    then = datetime(year, 1, 1, tzinfo=UTC)
    advance((then - claims.issued_at).total_seconds())
    each = replace(claims, issued_at=then, expires_at=then + timedelta(seconds=1))
    assert tokens.verify(tokens.issue(each)) == each


@pytest.mark.parametrize("name", ["n" * 3, "n" * 4, "n" * 5])
def test_the_unused_bits_of_a_last_character_count(tokens: JwtTokens, claims: AccessClaims, name: str) -> None:
    """The last character of a part may be no other, though some others stand for the same bytes."""
    parts = tokens.issue(replace(claims, name=name)).split(".")
    for n, part in enumerate(parts):
        for character in BASE64URL.replace(part[-1], ""):
            forged = [*parts[:n], part[:-1] + character, *parts[n + 1 :]]
            with pytest.raises(InvalidToken):
                tokens.verify(".".join(forged))


def test_the_longest_token(tokens: JwtTokens, claims: AccessClaims) -> None:
    """A token of up to 4096 bytes is read, a longer one is refused though it is signed."""
    made = {len(token): token for token in (tokens.issue(replace(claims, name="n" * n)) for n in range(2700, 2900))}
    longest = max(length for length in made if length <= MAX_TOKEN_BYTES)
    shortest_refused = min(length for length in made if length > MAX_TOKEN_BYTES)
    assert longest >= MAX_TOKEN_BYTES - 1
    assert tokens.verify(made[longest]).user_id == claims.user_id
    with pytest.raises(InvalidToken):
        tokens.verify(made[shortest_refused])


def test_nothing_of_a_token_hangs_on_the_error(
    tokens: JwtTokens, claims: AccessClaims, forge: Callable[..., str], secret: bytes
) -> None:
    """The error is not chained to those of the library, some of which quote the token or keep its text."""
    header, _ = _opened(tokens.issue(claims))
    broken = jwt.PyJWS().encode(b'{"name": broken', secret, algorithm="HS256", headers=header)
    good = tokens.issue(claims)
    for token in (broken, good[:-1], good[:-4] + "AAAA", forge(payload={"role": "root"}), forge(headers={"kid": "k"})):
        with pytest.raises(InvalidToken) as caught:
            tokens.verify(token)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert caught.value.args == (InvalidToken.summary,)


def test_a_token_that_is_remembered_expires_like_any_other(
    tokens: JwtTokens, claims: AccessClaims, issuer: Callable[..., JwtTokens], advance: Callable[[float], None]
) -> None:
    """A token that was accepted before is refused from its last second on, and while it comes from the future."""
    token = tokens.issue(claims)
    assert tokens.verify(token) is tokens.verify(token)
    for moved_s in (3_600, -3_600 - 61):
        advance(moved_s)
        for each in (tokens, issuer()):
            with pytest.raises(InvalidToken):
                each.verify(token)


def test_as_many_tokens_are_remembered_as_there_is_room_for(
    tokens: JwtTokens, claims: AccessClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are forgotten, and read again when they come; a token that is refused is not remembered."""
    monkeypatch.setattr("songs_security.tokens.MAX_READ", 2)
    first, second, third = (tokens.issue(replace(claims, token_version=version)) for version in (1, 2, 3))
    before = tokens.verify(first)
    with pytest.raises(InvalidToken):
        tokens.verify(f"{first}A")
    tokens.verify(second)
    assert tokens.verify(first) is before
    tokens.verify(third)
    again = tokens.verify(first)

    assert again == before
    assert again is not before
