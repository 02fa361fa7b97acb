"""The adapter named ``jwt``."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_security.tokens import JwtTokens, checked_secret


class JwtSettings(BaseModel):
    """The settings of the tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret: SecretStr = Field(description="What tokens are signed with, at least 32 bytes. Keep it secret.")
    secret_previous: SecretStr | None = Field(
        default=None,
        description="The secret before the last change: tokens and cursors signed with it are still accepted.",
    )
    issuer: str = Field(default="songs-api", min_length=1, description="The issuer that tokens name.")
    audience: str = Field(default="songs-api", min_length=1, description="The audience that tokens name.")

    @field_validator("secret", "secret_previous")
    @classmethod
    def _can_sign(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _bytes_of(value)
        return value


def _bytes_of(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if any("\ud800" <= character <= "\udfff" for character in text):
        # That is how Python reads bytes of an environment variable that are not UTF-8.
        msg = "must be UTF-8 text"
        raise ValueError(msg)
    return checked_secret(text.encode())


def _tokens(settings: JwtSettings, context: AdapterContext) -> JwtTokens:
    previous = settings.secret_previous
    return JwtTokens(
        secret=_bytes_of(settings.secret),
        previous_secret=None if previous is None else _bytes_of(previous),
        issuer=settings.issuer,
        audience=settings.audience,
        clock=context.clock,
    )


@contextmanager
def _sandbox(_folder: Path) -> Iterator[JwtSettings]:
    yield JwtSettings(secret=SecretStr(secrets.token_urlsafe(48)))


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the tokens."""
    return [
        AdapterSpec(
            port=Port.TOKENS,
            name="jwt",
            summary="JSON Web Tokens signed with HMAC-SHA256",
            factory=_tokens,
            settings=JwtSettings,
            sandbox=_sandbox,
        )
    ]
