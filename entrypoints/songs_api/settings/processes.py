"""How many processes serve where nobody says so."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from songs.ports.cache import CacheCapabilities
from songs.ports.limiter import LimiterCapabilities
from songs.ports.storage import StorageCapabilities
from songs_plugins import AdapterSpec, Port

MOST: Final = 256
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def default_workers(specs: Mapping[Port, AdapterSpec]) -> int:
    """Return one process for each core, where all that they must have in common is shared; else 1."""
    return usable_cores() if all(_is_shared(spec) for spec in specs.values()) else 1


def usable_cores(quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use, at most `MOST`: those that it is given, within its quota.

    Args:
        quota: The file of the control group (version 2) in which a container's quota is.
    """
    given = len(given_cores()) or os.cpu_count() or 1
    try:
        allowed, _, period = quota.read_text().partition(" ")
        given = min(given, math.ceil(int(allowed) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # there is no such file, or no quota ("max")
    return max(1, min(given, MOST))


def given_cores() -> tuple[int, ...]:
    """Return the cores that this process may run on, in their order; none where the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


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
