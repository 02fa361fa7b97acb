"""The descriptor of an adapter."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import pluggy
from pydantic import BaseModel, ConfigDict

from songs.ports.cache import Cache, CacheCapabilities
from songs.ports.clock import Clock
from songs.ports.ids import IdGenerator
from songs.ports.limiter import LimiterCapabilities, RateLimiter
from songs.ports.meter import UNMETERED, Meter
from songs.ports.passwords import PasswordHasher
from songs.ports.storage import Storage, StorageCapabilities
from songs.ports.tokens import TokenIssuer

API_VERSION: Final = 1
"""The version of this descriptor and of the ports; it grows when an adapter that was right could become wrong."""


class Port(StrEnum):
    """The ports that adapters can be registered for."""

    STORAGE = "storage"
    CACHE = "cache"
    LIMITER = "limiter"
    TOKENS = "tokens"
    PASSWORDS = "passwords"
    CLOCK = "clock"
    IDS = "ids"

    @property
    def protocol(self) -> type:
        """The protocol that an adapter for this port implements."""
        return _PROTOCOLS[self]


_PROTOCOLS: Final[dict[Port, type]] = {
    Port.STORAGE: Storage,
    Port.CACHE: Cache,
    Port.LIMITER: RateLimiter,
    Port.TOKENS: TokenIssuer,
    Port.PASSWORDS: PasswordHasher,
    Port.CLOCK: Clock,
    Port.IDS: IdGenerator,
}


class NoSettings(BaseModel):
    """The settings of an adapter that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """The services of the container that every factory is given besides its settings.

    `concurrency` is how many threads may call the adapter at once: the right size for a pool of connections. `meter`
    counts what circuit breakers do.
    """

    clock: Clock
    ids: IdGenerator
    concurrency: int = 8
    meter: Meter = UNMETERED


class FaultInjector(Protocol):
    """Makes calls into an adapter's backend fail, where an adapter offers that to the contract kit."""

    @property
    def failed(self) -> bool:
        """Whether the call that was to fail has been reached since `fail_at`."""
        ...

    def fail_at(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let one call fail, the next one where `call` is 1: before the backend did anything, or after it did all."""
        ...

    def heal(self) -> None:
        """Let no call fail any more."""
        ...


@runtime_checkable
class LastingFaultInjector(FaultInjector, Protocol):
    """The same for a backend that can go on failing, as a server in trouble does: with it the kit counts attempts."""

    @property
    def calls(self) -> int:
        """How many calls were made since `fail_at` or `fail_from`."""
        ...

    def fail_from(self, call: int, *, when: Literal["before", "after"]) -> None:
        """Let that call fail as `fail_at` does, and every call after it, until `heal`."""
        ...


@runtime_checkable
class CacheFaultInjector(FaultInjector, Protocol):
    """The same for a cache, whose entries can be spoilt as well."""

    def spoil(self) -> None:
        """Put rubbish under every key that the cache has in its backend."""
        ...


@runtime_checkable
class CountingFaultInjector(CacheFaultInjector, Protocol):
    """The same for a counting cache, whose backend can fail for entries alone."""

    def refuse_entries(self) -> None:
        """Let the backend refuse what it is asked about entries, and answer the limiter, until `heal`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """One adapter for one port.

    Attributes:
        port: The port it implements.
        name: The name it is selected by; equal to the name of the entry point that offers it. Lower-case ASCII
            letters, digits and ``_``, since its settings are the environment variables ``SONGS_<NAME>_<FIELD>``.
        summary: One line for lists.
        factory: Called with an instance of `settings` and the context; returns the adapter, without any I/O.
            A clock's and an id generator's factory is given a context whose `clock` and `ids` may be the system's.
        settings: A frozen pydantic model with a default for whatever may be left out. Secrets are `SecretStr`.
        capabilities: What the adapter declares, for lists; an open adapter's own `capabilities` may be narrower.
        sandbox: For the contract kit: given an empty folder, a context manager of settings for an empty, private place
            to keep data (a file in that folder, a database of a fresh name), removed at the end. Building the adapter
            twice with these settings must reach the same place. None: the default settings do, in memory.
        damages: For the contract kit, where a storage declares `maintenance`: what can go wrong with its data that
            repairing mends, by name; each is given an open storage with some songs and ratings, and damages it.
            One is named ``folds`` where `versions` has a version of that name: it makes the folds, and their
            version, those of another Unicode.
        losses: For the contract kit: ways in which the data of a storage can be taken away while it is open, by name;
            each is given the settings of a place, and a context manager that takes them away and brings them back.
        faults: For the contract kit: given the settings of a place, a context manager of a `FaultInjector` for the
            backend calls of whatever is built from them; of a storage, if it can, a `LastingFaultInjector`; of a cache,
            a `CacheFaultInjector`; of a counting cache, if it can, a `CountingFaultInjector`. None: the kit does
            not test how the adapter bears such faults.
        api_version: The version of this descriptor that the adapter was written for.
    """

    port: Port
    name: str
    summary: str
    factory: Callable[[Any, AdapterContext], Any]
    settings: type[BaseModel] = NoSettings
    capabilities: StorageCapabilities | CacheCapabilities | LimiterCapabilities | None = None
    sandbox: Callable[[Path], AbstractContextManager[BaseModel]] | None = None
    damages: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)
    losses: Mapping[str, Callable[[Any], AbstractContextManager[None]]] = field(default_factory=dict)
    faults: Callable[[Any], AbstractContextManager[FaultInjector]] | None = None
    api_version: int = API_VERSION

    def build(self, settings: BaseModel, context: AdapterContext) -> Any:  # noqa: ANN401 - the port decides the type
        """Return the adapter.

        Raises:
            TypeError: What the factory returned does not implement the port.
        """
        adapter = self.factory(settings, context)
        if not isinstance(adapter, self.port.protocol):
            kind, missing = type(adapter).__qualname__, ", ".join(missing_members(adapter, self.port.protocol))
            msg = (
                f"adapter {self.name!r}: {kind} does not have all methods of the port {self.port.value!r}; no {missing}"
            )
            raise TypeError(msg)
        return adapter


def missing_members(implementation: object, protocol: type) -> list[str]:
    """Return the names that `protocol` declares and `implementation` does not have."""
    return [name for name in vars(protocol) if not name.startswith("_") and not hasattr(implementation, name)]


PROJECT = "songs"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def songs_adapters() -> Iterable[AdapterSpec]:  # type: ignore[empty-body]
    """Return the descriptors of all adapters that the plugin offers, one for each port. Does no I/O."""
