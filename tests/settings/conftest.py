"""Settings made of a few variables, with one adapter of a stranger among the installed ones."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from songs.ports.cache import CacheCapabilities
from songs.ports.storage import StorageCapabilities
from songs_api.settings import Settings, Source, Variables, resolve
from songs_memory.storage import MemoryStorage
from songs_plugins import AdapterContext, AdapterSpec, Port, hookimpl
from songs_plugins.none import NoCache
from songs_plugins.registry import GROUP, Registry

SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
Resolve = Callable[..., Settings]


class AcmeSettings(BaseModel):
    """What the stranger's adapter is set up with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=4, ge=1, le=8, description="How large.")
    key: SecretStr | None = Field(default=None, min_length=5, description="How secret.")


class AcmeTokenSettings(BaseModel):
    """What the stranger's tokens are set up with: a secret of any length, and a check that says too much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr = Field(description="What tokens are signed with.")

    @field_validator("secret")
    @classmethod
    def _not_weak(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().startswith("weak"):
            msg = f"{value.get_secret_value()} is weak"
            raise ValueError(msg)
        return value


def _storage(settings: AcmeSettings, context: AdapterContext) -> MemoryStorage:
    return MemoryStorage()


def _cache(settings: AcmeSettings, context: AdapterContext) -> NoCache:
    return NoCache()


@hookimpl
def songs_adapters() -> Iterable[AdapterSpec]:
    """Return a durable, shared storage, a cache of one process, and tokens whose secret may be short."""
    return [
        AdapterSpec(
            port=Port.STORAGE,
            name="acme",
            summary="a stranger's",
            factory=_storage,
            settings=AcmeSettings,
            capabilities=StorageCapabilities(durable=True, shared=True, transactions=False, snapshot_reads=False),
        ),
        AdapterSpec(
            port=Port.CACHE,
            name="acme",
            summary="a stranger's",
            factory=_cache,
            settings=AcmeSettings,
            capabilities=CacheCapabilities(shared=False),
        ),
        AdapterSpec(port=Port.TOKENS, name="acme", summary="a stranger's", factory=_cache, settings=AcmeTokenSettings),
    ]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The installed adapters, the stranger's, and no sqlite."""
    module = ModuleType("acme_songs")
    module.songs_adapters = songs_adapters  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_songs", module)
    stranger = EntryPoint(name="acme", value="acme_songs", group=GROUP)
    installed = [entry for entry in entry_points(group=GROUP) if entry.name != "sqlite"]
    return Registry(lambda: [*installed, stranger])


@pytest.fixture
def settings(registry: Registry) -> Resolve:
    """Make settings of variables; the secret of tokens is there unless it is named."""

    def make(texts: Mapping[str, str | None] | None = None, *, generate_secrets: bool = False) -> Settings:
        everything = {"SONGS_JWT_SECRET": SECRET, **(texts or {})}
        everything = {name: text for name, text in everything.items() if text}
        variables = Variables().replacing(everything, Source.ENVIRONMENT)
        return resolve(variables, registry, generate_secrets=generate_secrets)

    return make
