"""The adapters named ``system``."""

from collections.abc import Sequence

from songs_plugins import AdapterContext, AdapterSpec, NoSettings, Port, hookimpl
from songs_system.system import SystemClock, TimeOrderedIds


def _clock(settings: NoSettings, context: AdapterContext) -> SystemClock:
    return SystemClock()


def _ids(settings: NoSettings, context: AdapterContext) -> TimeOrderedIds:
    return TimeOrderedIds(context.clock)


@hookimpl
def songs_adapters() -> Sequence[AdapterSpec]:
    """Return clock and ids."""
    return [
        AdapterSpec(port=Port.CLOCK, name="system", summary="the clock of the machine", factory=_clock),
        AdapterSpec(port=Port.IDS, name="system", summary="128 bits: milliseconds, then random", factory=_ids),
    ]
