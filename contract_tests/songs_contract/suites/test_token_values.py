"""What tokens say, member by member: any name and id, times of any decade, and nothing of another type or secret."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial

import pytest
from pydantic import SecretStr, ValidationError

from songs.errors import InvalidToken
from songs.limits import is_id, username_problem
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs_contract.harness.driver import race, returned
from songs_contract.harness.near_misses import family, near_misses
from songs_contract.harness.subject import StandingClock, Subject
from songs_contract.law import clause
from songs_contract.models.samples import claims_at
from songs_plugins import Port

PORT = Port.TOKENS

MAX_TOKEN_BYTES = 4096
YEARS = (2026, 2037, 2038, 2039, 2106, 2107, 2199)
THREADS = 6


@pytest.fixture
def clock() -> StandingClock:
    """The clock of the issuer under test."""
    return StandingClock()


@pytest.fixture
def tokens(subject: Subject, clock: StandingClock) -> TokenIssuer:
    """The issuer under test."""
    issuer: TokenIssuer = replace(subject, clock=clock).build()
    return issuer


def refused(tokens: TokenIssuer, token: str) -> bool:
    """Return whether a token is refused."""
    try:
        tokens.verify(token)
    except InvalidToken:
        return True
    return False


def variants(at: datetime) -> Iterator[AccessClaims]:
    """Yield claims whose names, ids or versions are nearly the same."""
    for text in family("Song-a1", 64, is_id):
        yield claims_at(at, user_id=text, token_id=text)
    for name in family("Ada.Lovelace", 50, lambda text: username_problem(text) is None):
        yield claims_at(at, name=name)
    for name in ("...", "-._", "1.0", "+44", "a@b.c", "0x7f", "1e5"):
        yield claims_at(at, name=name)
    for version in (1, 2, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**53 - 1, 2**53):
        yield claims_at(at, token_version=version)


@clause("TOK-1")
def test_near_misses(tokens: TokenIssuer, clock: StandingClock) -> None:
    """Names, ids and versions come back as they are, whatever they look like, and as what they are."""
    for claims in variants(clock.at):
        found = tokens.verify(tokens.issue(claims))
        assert found == claims
        for field in fields(AccessClaims):
            assert type(getattr(found, field.name)) is type(getattr(claims, field.name)), field.name
        assert found.issued_at.tzinfo is UTC
        assert found.expires_at.tzinfo is UTC


@clause("TOK-1", "TOK-2")
@pytest.mark.usefixtures("time_zone")
@pytest.mark.parametrize("year", YEARS)
def test_times_of_any_decade(tokens: TokenIssuer, clock: StandingClock, year: int) -> None:
    """Times are what they are, in every time zone of the machine, in summer and in winter."""
    for month in (1, 7):
        clock.at = datetime(year, month, 20, 3, 14, 8, tzinfo=UTC)
        claims = claims_at(clock.at)
        token = tokens.issue(claims)
        assert tokens.verify(token) == claims
        clock.at = claims.expires_at
        assert refused(tokens, token)


@clause("TOK-3")
def test_secrets_that_are_nearly_the_same(subject: Subject, tokens: TokenIssuer, clock: StandingClock) -> None:
    """A token is refused by whom has another secret, however little makes the difference, and however late."""
    base = "Secret-of-many-characters-"
    # Not with a NUL at the end: to HMAC itself, keys of up to 64 bytes that differ in that alone are one.
    texts = [base * n + last for n in (2, 3, 6, 12, 40) for last in "aA"]
    texts += [text for text in near_misses(base * 2).values() if not text.endswith("\0") and len(text) > len(base)]
    issuers = [issuer for text in texts for issuer in _issuers(subject, text, clock)]
    if len(issuers) < 10:
        pytest.skip("declared unsupported: a secret among the settings")
    claims = claims_at(clock.at)
    for n, issuer in enumerate(issuers):
        token = issuer.issue(claims)
        accepting = [m for m, other in enumerate(issuers) if not refused(other, token)]
        assert accepting == [n], [texts[m] for m in accepting]


@clause("TOK-3")
def test_the_longest_token(tokens: TokenIssuer, clock: StandingClock) -> None:
    """The first that is longer than 4096 bytes is refused, and not only those that are much longer."""
    short = len(tokens.issue(claims_at(clock.at, name="")))
    # In base64, as tokens mostly are, a name takes a third more.
    about = (MAX_TOKEN_BYTES - short) * 3 // 4
    issued = (tokens.issue(claims_at(clock.at, name="n" * length)) for length in range(about - 4, about + 12))
    too_long = [token for token in issued if len(token) > MAX_TOKEN_BYTES]
    assert [len(token) for token in too_long if not refused(tokens, token)] == []


@clause("TOK-1")
def test_threads_get_their_own_claims(tokens: TokenIssuer, clock: StandingClock, rounds: int) -> None:
    """No thread gets the claims of another one's token."""

    def verify(who: str) -> None:
        for n in range(20 * rounds):
            claims = claims_at(clock.at, user_id=f"{who}-{n}")
            assert tokens.verify(tokens.issue(claims)) == claims

    returned(race([partial(verify, str(n)) for n in range(THREADS)]))


def _issuers(subject: Subject, text: str, clock: StandingClock) -> Iterator[TokenIssuer]:
    """Yield the issuer whose secret is a text, if its settings have one and admit it."""
    secrets = [
        name for name in type(subject.settings).model_fields if isinstance(getattr(subject.settings, name), SecretStr)
    ]
    if len(secrets) != 1:
        return
    values = {name: getattr(subject.settings, name) for name in type(subject.settings).model_fields}
    try:
        settings = type(subject.settings).model_validate(values | {secrets[0]: SecretStr(text)})
    except ValidationError:
        return
    yield replace(subject, settings=settings, clock=clock).build()
