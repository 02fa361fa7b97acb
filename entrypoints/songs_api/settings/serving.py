"""Checks before a service starts, of settings that are right alone and wrong together."""

from collections.abc import Iterator
from typing import Final

from pydantic import SecretBytes, SecretStr

from songs.ports.cache import CacheCapabilities
from songs.ports.storage import StorageCapabilities
from songs_api.settings.resolve import Settings, prefix_of
from songs_api.settings.variables import SettingsError, Source
from songs_plugins import Port

MIN_SECRET_BYTES: Final = 32
_FEWEST_DISTINCT: Final = 10
_PLACEHOLDERS: Final = ("change", "example", "replace", "secret", "your")
_MAKE_ONE: Final = "make one with: openssl rand -base64 48"


def check_serving(settings: Settings, *, workers: int | None = None, server: str | None = None) -> list[str]:
    """Return warnings, one line each.

    Args:
        settings: What the service would run with.
        workers: How many processes there will be, where that is not decided by the settings.
        server: Which server it is, where that is not decided by the settings.

    Raises:
        SettingsError: The service would break a promise, or is not fit for production though it is called that.
    """
    count = settings.service.workers if workers is None else workers
    problems = [*_process_problems(settings, count), *_secret_problems(settings, count)]
    doubtful = list(_proxy_problems(settings, server or settings.service.server))
    if settings.service.environment == "production":
        problems += [*_production_problems(settings), *doubtful]
    if problems:
        raise SettingsError(problems)
    return [*_warnings(settings, count), *doubtful]


def secrets_of(settings: Settings, port: Port) -> dict[str, bytes]:
    """Return the secrets of an adapter's settings by the names of their variables."""
    choice = settings.adapters[port]
    found = {}
    for name in type(choice.settings).model_fields:
        value = getattr(choice.settings, name)
        if isinstance(value, SecretStr):
            found[prefix_of(choice.spec.name) + name.upper()] = value.get_secret_value().encode()
        elif isinstance(value, SecretBytes):
            found[prefix_of(choice.spec.name) + name.upper()] = value.get_secret_value()
    return found


def _storage(settings: Settings) -> StorageCapabilities | None:
    capabilities = settings.adapters[Port.STORAGE].spec.capabilities
    return capabilities if isinstance(capabilities, StorageCapabilities) else None


def _cache_is_private(settings: Settings) -> bool:
    capabilities = settings.adapters[Port.CACHE].spec.capabilities
    return isinstance(capabilities, CacheCapabilities) and capabilities.keeps and not capabilities.shared


def _process_problems(settings: Settings, workers: int) -> Iterator[str]:
    storage, service = _storage(settings), settings.service
    if storage is not None and not storage.shared and workers > 1:
        yield (
            f"SONGS_WORKERS: the storage {service.storage!r} serves one process at a time, not {workers}; "
            f"set SONGS_WORKERS=1 or select another SONGS_STORAGE"
        )
    if not _cache_is_private(settings):
        return
    many = workers > 1 or (service.environment == "production" and storage is not None and storage.shared)
    if many:
        yield (
            f"SONGS_CACHE: the cache {service.cache!r} belongs to one process, so several would switch off each "
            f"other's at every write; select a shared cache, or none"
        )


def _secret_problems(settings: Settings, workers: int) -> Iterator[str]:
    for name in secrets_of(settings, Port.TOKENS):
        if settings.source(name) is not Source.GENERATED:
            continue
        if settings.service.environment == "production":
            yield f"{name} is not set; {_MAKE_ONE}"
        elif workers > 1:
            yield f"{name} is not set, and {workers} processes need one secret; {_MAKE_ONE}"


def _production_problems(settings: Settings) -> Iterator[str]:
    storage = _storage(settings)
    if storage is not None and not storage.durable:
        yield (
            f"SONGS_STORAGE: the storage {settings.service.storage!r} forgets everything when the process ends; "
            f"select another for SONGS_ENVIRONMENT=production"
        )
    for name, secret in secrets_of(settings, Port.TOKENS).items():
        if len(secret) < MIN_SECRET_BYTES:
            yield f"{name} has fewer than {MIN_SECRET_BYTES} bytes; {_MAKE_ONE}"
        elif len(set(secret)) < _FEWEST_DISTINCT or secret.lower().startswith(tuple(p.encode() for p in _PLACEHOLDERS)):
            yield f"{name} is easy to guess; {_MAKE_ONE}"


def _proxy_problems(settings: Settings, server: str) -> Iterator[str]:
    service = settings.service
    if server == "granian" and service.trusted_proxies and service.forwarded_header == "auto":
        yield (
            "SONGS_FORWARDED_HEADER: granian takes a client's X_Forwarded_For for the proxy's X-Forwarded-For; set "
            "x-forwarded-for if the proxy drops headers with underscores, as nginx does, or forwarded if it sets that"
        )


def _warnings(settings: Settings, workers: int) -> Iterator[str]:
    storage, service = _storage(settings), settings.service
    for name in secrets_of(settings, Port.TOKENS):
        if settings.source(name) is Source.GENERATED:
            yield f"{name} is not set: tokens are good until this process ends"
    if storage is not None and not storage.durable:
        yield f"the storage {service.storage!r} forgets everything when the process ends"
    if storage is not None and storage.shared and _cache_is_private(settings):
        yield (
            f"the cache {service.cache!r} belongs to one process: what other programs write to the storage "
            f"{service.storage!r} switches it off for a while"
        )
    if workers > 1 and service.limiter == "memory":
        yield f"the limiter 'memory' counts in each of the {workers} processes on its own"
