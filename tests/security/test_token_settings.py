"""What can be set for tokens, and what is refused before any token is signed."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from songs.ports.clock import Clock
from songs.ports.tokens import AccessClaims, TokenIssuer
from songs_plugins import AdapterContext, Port
from songs_plugins.registry import Registry
from songs_security.jwt_plugin import JwtSettings
from songs_security.tokens import JwtTokens
from songs_system.system import TimeOrderedIds

GOOD = "a secret that is known to these tests alone"
KEY = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
PEM = f"-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm/RAlphM3+hUG6wWfcO5bIUIaqMLa2ywxcOK1wMWbh someone"
JWK = '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}'


@pytest.mark.parametrize("secret", [PEM, SSH, JWK, "hunter2", "", "x" * 31, "é" * 15, "hunter2" * 9 + "\udcff"])
@pytest.mark.parametrize("field", ["secret", "secret_previous"])
def test_a_secret_that_cannot_sign_is_refused_without_being_shown(field: str, secret: str) -> None:
    """Short secrets, keys of another kind, and bytes that are not UTF-8, are refused; the message keeps them secret."""
    with pytest.raises(ValidationError) as caught:
        JwtSettings.model_validate({"secret": GOOD, field: secret})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]
    for told in (str(caught.value), repr(caught.value)):
        assert "hunter2" not in told
        assert "xxx" not in told
        assert "éé" not in told
        assert "AAAA" not in told
        assert "c2VjcmV0" not in told
        assert "MCowBQ" not in told


def test_a_secret_that_is_not_utf8_is_named_as_such() -> None:
    """What an environment variable holds besides UTF-8 reads as lone surrogates; the message says what is wrong."""
    with pytest.raises(ValidationError, match="must be UTF-8 text"):
        JwtSettings.model_validate({"secret": GOOD + "\udcff"})


@pytest.mark.parametrize("secret", ["x" * 32, "é" * 16, "密" * 11, " " * 32, "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]"])
def test_a_secret_is_measured_in_bytes(clock: Clock, claims: AccessClaims, secret: str) -> None:
    """Any text of at least 32 bytes signs."""
    issuer = _build(JwtSettings(secret=SecretStr(secret), secret_previous=SecretStr(GOOD)), clock)
    assert issuer.verify(issuer.issue(claims)) == claims


def test_the_secret_must_be_given() -> None:
    """There is no default secret."""
    with pytest.raises(ValidationError, match="Field required"):
        JwtSettings.model_validate({})


@pytest.mark.parametrize("field", ["issuer", "audience"])
def test_issuer_and_audience_are_not_empty(field: str) -> None:
    """An empty issuer or audience would be no check at all."""
    with pytest.raises(ValidationError):
        JwtSettings.model_validate({"secret": GOOD, field: ""})


def test_settings_do_not_show_secrets() -> None:
    """The settings may be logged."""
    settings = JwtSettings(secret=SecretStr(GOOD), secret_previous=SecretStr(GOOD + "2"))
    assert GOOD not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_reach_the_issuer(clock: Clock, claims: AccessClaims) -> None:
    """Secret, previous secret, issuer and audience are those of the settings."""
    settings = JwtSettings(secret=SecretStr(GOOD), secret_previous=SecretStr("p" * 32), issuer="i", audience="a")
    issuer = _build(settings, clock)
    for secret in (GOOD, "p" * 32):
        made = JwtTokens(secret=secret.encode(), previous_secret=None, issuer="i", audience="a", clock=clock)
        assert issuer.verify(made.issue(claims)) == claims
    signs = JwtTokens(secret=GOOD.encode(), previous_secret=None, issuer="i", audience="a", clock=clock)
    assert signs.verify(issuer.issue(claims)) == claims


def test_each_sandbox_has_a_secret_of_its_own(tmp_path: Path) -> None:
    """Two sandboxes do not believe each other's tokens."""
    spec = Registry().get(Port.TOKENS, "jwt")
    assert spec.sandbox is not None
    with spec.sandbox(tmp_path) as one, spec.sandbox(tmp_path) as two:
        assert one != two


def _build(settings: JwtSettings, clock: Clock) -> TokenIssuer:
    context = AdapterContext(clock=clock, ids=TimeOrderedIds(clock))
    issuer: TokenIssuer = Registry().get(Port.TOKENS, "jwt").build(settings, context)
    return issuer
