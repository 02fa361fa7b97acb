"""The package that adapters import besides `songs`: the hook, the descriptor, and the registry that loads by name.

A plugin is a distribution with an entry point in the group ``songs.adapters``. The entry point's name is the adapter's
name, and its object is a module (or class instance) with a `hookimpl` of `songs_adapters`:

    from songs_plugins import AdapterSpec, Port, hookimpl

    @hookimpl
    def songs_adapters():
        return [AdapterSpec(port=Port.STORAGE, name="acme", summary="...", factory=AcmeStorage.from_settings)]
"""

import warnings

from songs_plugins.faults import FailingCalls, failing, moved_away, overwritten, replaced
from songs_plugins.spec import (
    API_VERSION,
    AdapterContext,
    AdapterSpec,
    CacheFaultInjector,
    CountingFaultInjector,
    FaultInjector,
    LastingFaultInjector,
    NoSettings,
    Port,
    hookimpl,
)

__all__ = [
    "API_VERSION",
    "AdapterContext",
    "AdapterSpec",
    "CacheFaultInjector",
    "CountingFaultInjector",
    "FailingCalls",
    "FaultInjector",
    "LastingFaultInjector",
    "NoSettings",
    "Port",
    "failing",
    "hookimpl",
    "moved_away",
    "overwritten",
    "replaced",
]


def __getattr__(name: str) -> type:
    if name != "JoinedFaultInjector":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    warnings.warn("JoinedFaultInjector is now CountingFaultInjector", DeprecationWarning, stacklevel=2)
    return CountingFaultInjector
