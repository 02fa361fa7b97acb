"""The default number of worker processes, and the cores that they are bound to."""

from collections.abc import Mapping

from songs.ports.cache import CacheCapabilities
from songs.ports.limiter import LimiterCapabilities
from songs.ports.storage import StorageCapabilities
from songs_plugins import AdapterSpec, Port
from songs_plugins.processors import given_cores, usable_cores


def default_workers(specs: Mapping[Port, AdapterSpec]) -> int:
    """Return one process for each core, where all that they must have in common is shared; else 1."""
    return usable_cores() if all(_is_shared(spec) for spec in specs.values()) else 1


def cores_to_pin(pin: str, workers: int) -> tuple[int, ...]:
    """Return the cores to which workers are bound, each to one; none if they are not.

    Args:
        pin: ``yes``, ``no``, or ``auto``: where the workers take all cores that this process was given. With fewer, or
            with a quota of less, other programs would meet them on the same cores while others are idle.
        workers: How many there are.
    """
    cores = given_cores()
    whole = len(cores) > 1 and usable_cores() == len(cores) <= workers
    return cores if pin == "yes" or (pin == "auto" and whole) else ()


def _is_shared(spec: AdapterSpec) -> bool:
    match spec.capabilities:
        case StorageCapabilities(shared=shared):
            return shared
        case CacheCapabilities(shared=shared, keeps=keeps):
            return shared or not keeps
        case LimiterCapabilities(shared=shared, limits=limits):
            return shared or not limits
    return True
