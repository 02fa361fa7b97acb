"""Variables resolved to settings, checked one by one and together, and what serving requires beyond that."""

import difflib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr

from songs.ports.cache import CacheCapabilities
from songs.ports.storage import StorageCapabilities
from songs_api.settings.parsing import Entry, is_secret, read, variable_names, with_secret_files
from songs_api.settings.service import GROUPS, PREFIX, Selection, ServiceSettings, default_workers
from songs_api.settings.variables import SettingsError, Source, Variables
from songs_plugins import AdapterSpec, Port
from songs_plugins.registry import PluginError, Registry

SELECTED: Final = {
    Port.STORAGE: "storage",
    Port.CACHE: "cache",
    Port.LIMITER: "limiter",
    Port.TOKENS: "tokens",
    Port.PASSWORDS: "passwords",
}
"""The ports whose adapter a setting selects, and that setting."""
SYSTEM: Final = "system"
DURABLE_DEFAULT: Final = "sqlite"
DEFAULT_WITHOUT: Final = "memory"


@dataclass(frozen=True, slots=True)
class Choice:
    """A selected adapter with its settings."""

    spec: AdapterSpec
    settings: BaseModel


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the service and its adapters.

    Attributes:
        service: The service's own settings.
        adapters: The adapter of every port.
        entries: All settings, for lists.
        variables: The variables that all of this was read from; another process can `resolve` them again.
    """

    service: ServiceSettings
    adapters: Mapping[Port, Choice]
    entries: tuple[Entry, ...]
    variables: Variables = field(repr=False)

    def source(self, name: str) -> Source:
        """Return where the setting `name` comes from."""
        return next((entry.source for entry in self.entries if entry.name == name), Source.DEFAULT)


def prefix_of(adapter: str) -> str:
    """Return what the variables of an adapter begin with."""
    return f"{PREFIX}{adapter.upper()}_"


def resolve(variables: Variables, registry: Registry, *, generate_secrets: bool = False) -> Settings:
    """Return the settings that the variables make.

    Args:
        variables: What was set.
        registry: Knows the adapters; the selected ones are loaded.
        generate_secrets: Make up the secret of the token adapter where it is missing.

    Raises:
        SettingsError: At least one setting is wrong or unknown, or an adapter cannot be had; all of them are named.
    """
    variables = _with_default_storage(variables, registry)
    problems: list[str] = []
    specs = _specs(variables, registry, problems)
    problems += _unknown(variables, registry, specs)
    for spec in specs.values():
        variables = with_secret_files(spec.settings, prefix_of(spec.name), variables, problems)
    for group in GROUPS.values():
        variables = with_secret_files(group, PREFIX, variables, problems)
    if generate_secrets and Port.TOKENS in specs:
        variables = _with_secret(variables, specs[Port.TOKENS])
    variables = _with_default_workers(variables, specs)
    entries: list[Entry] = []
    groups: dict[str, Any] = {}
    for name, group in GROUPS.items():
        parsed = read(group, PREFIX, variables)
        entries += parsed.entries
        problems += parsed.problems
        groups[name] = parsed.settings
    adapters: dict[Port, Choice] = {}
    for port, spec in specs.items():
        reading = read(spec.settings, prefix_of(spec.name), variables)
        entries += reading.entries
        problems += reading.problems
        if reading.settings is not None:
            adapters[port] = Choice(spec, reading.settings)
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    unique = tuple({entry.name: entry for entry in entries}.values())
    return Settings(ServiceSettings(**groups), adapters, unique, variables)


def default_storage(registry: Registry) -> str:
    """Return the storage that is used where none is selected: the durable one, if it is installed."""
    return DURABLE_DEFAULT if DURABLE_DEFAULT in registry.names() else DEFAULT_WITHOUT


def _with_default_storage(variables: Variables, registry: Registry) -> Variables:
    name = PREFIX + "STORAGE"
    if name in variables:
        return variables
    return variables.replacing({name: default_storage(registry)}, Source.DEFAULT)


def _specs(variables: Variables, registry: Registry, problems: list[str]) -> dict[Port, AdapterSpec]:
    specs = {}
    for port in Port:
        selector = SELECTED.get(port)
        variable = PREFIX + selector.upper() if selector else ""
        default = Selection.model_fields[selector].get_default() if selector else SYSTEM
        name = variables.get(variable) or str(default)
        try:
            specs[port] = registry.get(port, name)
        except PluginError as error:
            problems.append(f"{variable}: {error}" if variable else str(error))
    return specs


def _with_secret(variables: Variables, spec: AdapterSpec) -> Variables:
    prefix = prefix_of(spec.name)
    made = {
        prefix + name.upper(): secrets.token_urlsafe(48)
        for name, info in spec.settings.model_fields.items()
        if is_secret(info) and info.is_required()
    }
    return variables.replacing(
        {name: text for name, text in made.items() if name not in variables and f"{name}_FILE" not in variables},
        Source.GENERATED,
    )


def _with_default_workers(variables: Variables, specs: Mapping[Port, AdapterSpec]) -> Variables:
    name = PREFIX + "WORKERS"
    # A secret that was made up is known to one process.
    made_up = any(variables[each].source is Source.GENERATED for each in variables)
    if name in variables or made_up:
        return variables
    return variables.replacing({name: str(default_workers(specs))}, Source.DEFAULT)


def _unknown(variables: Variables, registry: Registry, specs: Mapping[Port, AdapterSpec]) -> list[str]:
    known = {name for group in GROUPS.values() for name in variable_names(group, PREFIX)}
    selected = {spec.name for spec in specs.values()}
    for name in selected:
        for spec in registry.load(name):
            known |= set(variable_names(spec.settings, prefix_of(name)))
    # Nothing is loaded that is not selected, so the variables of other adapters are taken as they are.
    elsewhere = tuple(prefix_of(name) for name in registry.names() if name not in selected)
    problems = []
    for name in sorted(variables):
        if name in known or (elsewhere and name.startswith(elsewhere)):
            continue
        # A common prefix does not make two of them alike.
        bare = {each.removeprefix(PREFIX): each for each in known}
        nearest = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
        hint = f"; did you mean {bare[nearest[0]]}?" if nearest else "; `songs config` lists the settings"
        problems.append(f"{name} is not a setting{hint}")
    return problems


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
    count = settings.service.deployment.workers if workers is None else workers
    problems = [*_process_problems(settings, count), *_secret_problems(settings, count)]
    doubtful = list(_proxy_problems(settings, server or settings.service.deployment.server))
    if settings.service.deployment.environment == "production":
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
    storage, adapters = _storage(settings), settings.service.adapters
    if storage is not None and not storage.shared and workers > 1:
        yield (
            f"SONGS_WORKERS: the storage {adapters.storage!r} serves one process at a time, not {workers}; "
            f"set SONGS_WORKERS=1 or select another SONGS_STORAGE"
        )
    if not _cache_is_private(settings):
        return
    production = settings.service.deployment.environment == "production"
    if workers > 1 or (production and storage is not None and storage.shared):
        yield (
            f"SONGS_CACHE: the cache {adapters.cache!r} belongs to one process, so several would switch off each "
            f"other's at every write; select a shared cache, or none"
        )


def _secret_problems(settings: Settings, workers: int) -> Iterator[str]:
    for name in secrets_of(settings, Port.TOKENS):
        if settings.source(name) is not Source.GENERATED:
            continue
        if settings.service.deployment.environment == "production":
            yield f"{name} is not set; {_MAKE_ONE}"
        elif workers > 1:
            yield f"{name} is not set, and {workers} processes need one secret; {_MAKE_ONE}"


def _production_problems(settings: Settings) -> Iterator[str]:
    storage, adapters = _storage(settings), settings.service.adapters
    if storage is not None and not storage.durable:
        yield (
            f"SONGS_STORAGE: the storage {adapters.storage!r} forgets everything when the process ends; "
            f"select another for SONGS_ENVIRONMENT=production"
        )
    for name, secret in secrets_of(settings, Port.TOKENS).items():
        if len(secret) < MIN_SECRET_BYTES:
            yield f"{name} has fewer than {MIN_SECRET_BYTES} bytes; {_MAKE_ONE}"
        elif len(set(secret)) < _FEWEST_DISTINCT or secret.lower().startswith(tuple(p.encode() for p in _PLACEHOLDERS)):
            yield f"{name} is easy to guess; {_MAKE_ONE}"


def _proxy_problems(settings: Settings, server: str) -> Iterator[str]:
    http = settings.service.http
    if server == "granian" and http.trusted_proxies and http.forwarded_header == "auto":
        yield (
            "SONGS_FORWARDED_HEADER: granian takes a client's X_Forwarded_For for the proxy's X-Forwarded-For; set "
            "x-forwarded-for if the proxy drops headers with underscores, as nginx does, or forwarded if it sets that"
        )


def _warnings(settings: Settings, workers: int) -> Iterator[str]:
    storage, adapters = _storage(settings), settings.service.adapters
    for name in secrets_of(settings, Port.TOKENS):
        if settings.source(name) is Source.GENERATED:
            yield f"{name} is not set: tokens are good until this process ends"
    if storage is not None and not storage.durable:
        yield f"the storage {adapters.storage!r} forgets everything when the process ends"
    if storage is not None and storage.shared and _cache_is_private(settings):
        yield (
            f"the cache {adapters.cache!r} belongs to one process: what other programs write to the storage "
            f"{adapters.storage!r} switches it off for a while"
        )
    if workers > 1 and adapters.limiter == "memory":
        yield f"the limiter 'memory' counts in each of the {workers} processes on its own"
