"""The one hook that a plugin implements."""

from collections.abc import Iterable

import pluggy

from songs_plugins.spec import AdapterSpec

PROJECT = "songs"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def songs_adapters() -> Iterable[AdapterSpec]:  # type: ignore[empty-body]
    """Return the descriptors of all adapters that the plugin offers, one for each port. Does no I/O."""
