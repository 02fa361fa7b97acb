"""Probes of what an adapter denies: a capability that is declared false and works all the same is reported."""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from songs.ports.cache import Cache, Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter
from songs.ports.storage import Scope, Storage
from songs_contract.checks import StorageUser, song
from songs_contract.subject import Subject, place
from songs_plugins import AdapterSpec, Port

PATIENCE_S: Final = 2.0


def works_after_all(target: str, spec: AdapterSpec, declared: object) -> list[str]:
    """Return the capabilities that are declared false and seem to work, each tried in a place of its own."""
    found = []
    for (port, capability), probe in _PROBES.items():
        if port is spec.port and getattr(declared, capability, None) is False:
            # Whatever an adapter does that is asked for what it denies, it does not work.
            with suppress(Exception), TemporaryDirectory() as folder, place(target, spec, Path(folder)) as subject:
                found += [capability] if probe(subject) else []
    return found


def _keeps_data(subject: Subject) -> bool:
    first = subject.storage()
    StorageUser(first, subject).add_songs(song("probe"))
    first.close()
    return StorageUser(subject.storage(), subject).song("probe") is not None


def _is_shared(subject: Subject) -> bool:
    first, second = subject.storage(), subject.storage()
    StorageUser(first, subject).add_songs(song("probe"))
    return StorageUser(second, subject).song("probe") is not None


def _has_transactions(subject: Subject) -> bool:
    storage: Storage = subject.storage()
    use = StorageUser(storage, subject)
    with suppress(_PlantedError), storage.unit_of_work(Scope.WRITE_MANY, deadline=subject.deadline()) as unit:
        unit.songs.add(song("probe"))
        raise _PlantedError
    return use.song("probe") is None


def _has_snapshots(subject: Subject) -> bool:
    storage: Storage = subject.storage()
    use = StorageUser(storage, subject)

    def write() -> None:
        # Where writers wait for readers it may fail, or succeed when nobody asks any more: neither is a mistake.
        with suppress(Exception):
            use.add_songs(song("probe"))

    other = threading.Thread(target=write, daemon=True)
    with storage.unit_of_work(Scope.READ, deadline=subject.deadline()) as unit:
        unit.songs.get("probe")
        other.start()
        other.join(PATIENCE_S)
        waits, hidden = other.is_alive(), unit.songs.get("probe") is None
    other.join(PATIENCE_S)
    return hidden and not waits and use.song("probe") is not None


def _cache_is_shared(subject: Subject) -> bool:
    first: Cache = subject.open()
    second: Cache = subject.open()
    miss = first.get("probe", "key")
    if not isinstance(miss, Miss) or miss.lease is None:
        return False
    first.fill("probe", "key", b"value", lease=miss.lease, ttl_s=60.0)
    return second.get("probe", "key") == Hit(b"value")


def _limiter_is_shared(subject: Subject) -> bool:
    first: RateLimiter = subject.open()
    second: RateLimiter = subject.open()
    limit = RateLimit(1, 60)
    return first.hit("probe", limit).allowed and not second.hit("probe", limit).allowed


class _PlantedError(Exception):
    """What makes the transaction roll back."""


_PROBES: Final[dict[tuple[Port, str], Callable[[Subject], bool]]] = {
    (Port.STORAGE, "durable"): _keeps_data,
    (Port.STORAGE, "shared"): _is_shared,
    (Port.STORAGE, "transactions"): _has_transactions,
    (Port.STORAGE, "snapshot_reads"): _has_snapshots,
    (Port.CACHE, "shared"): _cache_is_shared,
    (Port.LIMITER, "shared"): _limiter_is_shared,
}
