"""The adapter named ``bcrypt``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_plugins.processors import usable_cores
from songs_security.passwords import MOST_ROUNDS, BcryptPasswords


class BcryptSettings(BaseModel):
    """The settings of the password hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=12, ge=4, le=MOST_ROUNDS, description="The cost of a hash, as a power of two.")
    concurrency: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="How many hashes a process computes at once; not set, one for each core that it may use.",
    )


def _passwords(settings: BcryptSettings, context: AdapterContext) -> BcryptPasswords:
    return BcryptPasswords(rounds=settings.rounds, concurrency=settings.concurrency)


@contextmanager
def _sandbox(_folder: Path) -> Iterator[BcryptSettings]:
    yield BcryptSettings(rounds=4, concurrency=2)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return the passwords."""
    return [
        AdapterSpec(
            port=Port.PASSWORDS,
            name="bcrypt",
            summary="bcrypt over HMAC-SHA256, for passwords of any length",
            factory=_passwords,
            settings=BcryptSettings,
            sandbox=_sandbox,
        )
    ]
