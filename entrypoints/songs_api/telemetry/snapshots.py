"""Counts of each process of a service, shared through files that are read and written, never mapped.

A mapped file ends the process that touches it when the disk is full, the file was truncated, or the disk fails. Here
the same is an error that can be logged.
"""

import fcntl
import os
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

Snapshot = dict[str, Any]
"""Any JSON value."""

MAX_BYTES: Final = 16 * 2**20
_RESERVED_BYTES: Final = 256 * 1024
"""The size of a file from the start, so that a disk that fills up later does no harm."""
_MAX_PROCESSES: Final = 4_096
_HEAD: Final = struct.Struct("<8sQQI")
_MARK: Final = b"songs/1\n"


class Snapshots:
    """The place of one process in a folder, and the counts of the others. Used by one thread at a time.

    A process takes the first free place, and with it the counts of a worker that died. So there are no more files than
    processes at once, and nothing is counted twice.

    Each place has two files that are written in turn, in place and never truncated: one of them is whole whenever the
    process is killed, and after the first time there is room for both.

    Args:
        folder: The folder; it must exist, and belong to one service on one machine.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._place: int | None = None
        self._held: int | None = None
        self._turn = 0

    @property
    def taken(self) -> bool:
        """Whether this process holds a place."""
        return self._place is not None

    def take(self) -> Snapshot | None:
        """Take a place and return the earlier counts there, if any.

        Raises:
            OSError: The folder is missing, full, or not writable.
        """
        for place in range(_MAX_PROCESSES):
            held = os.open(self._folder / f"{place}.held", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                before = self._newest(place)
                for half in (0, 1):
                    self._reserve(self._file(place, half))
            except BlockingIOError:
                os.close(held)
            except BaseException:
                os.close(held)
                raise
            else:
                self._place, self._held = place, held
                self._turn = before[0] if before else 0
                return before[1] if before else None
        msg = f"more than {_MAX_PROCESSES} processes"
        raise OSError(msg)

    def write(self, snapshot: Snapshot) -> None:
        """Keep what this process counted until now; it has a place.

        Raises:
            OSError: It cannot be written; what was kept before is still there.
        """
        if self._place is None or self._held is None:
            msg = "no place was taken"
            raise OSError(msg)
        body = orjson.dumps(snapshot)
        head = _HEAD.pack(_MARK, self._turn + 1, len(body), zlib.crc32(body))
        descriptor = os.open(self._file(self._place, (self._turn + 1) % 2), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            _write_all(descriptor, head + body)
        finally:
            os.close(descriptor)
        self._turn += 1
        # Programs that clean up remove what was not used for long, and with it the hold on this place.
        os.utime(self._held)

    def others(self) -> Iterator[Snapshot]:
        """Yield what each other process counted, those that ended included. What is not readable is left out."""
        for place in count():
            if not self._folder.joinpath(f"{place}.held").exists():
                return
            if place != self._place and (found := self._newest(place)):
                yield found[1]

    def close(self) -> None:
        """Release the place for another process."""
        held, self._held, self._place = self._held, None, None
        if held is not None:
            os.close(held)

    def _file(self, place: int, half: int) -> Path:
        return self._folder / f"{place}.{half}"

    def _newest(self, place: int) -> tuple[int, Snapshot] | None:
        found = [read for half in (0, 1) if (read := _read(self._file(place, half)))]
        return max(found, key=lambda read: read[0], default=None)

    def _reserve(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)
        finally:
            os.close(descriptor)


def _read(path: Path) -> tuple[int, Snapshot] | None:
    try:
        with path.open("rb") as file:
            mark, turn, length, checksum = _HEAD.unpack(file.read(_HEAD.size))
            body = file.read(min(length, MAX_BYTES))
        snapshot = orjson.loads(body) if mark == _MARK and zlib.crc32(body) == checksum else None
    except (OSError, ValueError, struct.error):
        return None
    return (turn, snapshot) if isinstance(snapshot, dict) else None


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


EPOCH: Final = "songs_coherence_epoch"
CACHE_ON: Final = "songs_coherence_cache_on"
_ADDED: Final = frozenset({"counter", "histogram"})

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
"""A sample: its name and its labels."""
Record = tuple[int, bool]
"""The coherence record: its epoch, and whether the cache is on. The greater is the later one."""


@dataclass(slots=True)
class Totals:
    """Combined counts: the samples of each family, and the latest coherence record."""

    families: dict[str, dict[Key, float]] = field(default_factory=lambda: defaultdict(dict))
    record: Record = (0, False)

    @classmethod
    def of(cls, registry: CollectorRegistry) -> "Totals":
        """Return what the counters and histograms of a registry hold."""
        totals = cls()
        for family in registry.collect():
            if family.type in _ADDED:
                totals.families[family.name] = {
                    (sample.name, tuple(sample.labels.items())): sample.value
                    for sample in family.samples
                    # When a process began to count is nothing that can be added.
                    if not sample.name.endswith("_created")
                }
        return totals

    @classmethod
    def parsed(cls, snapshot: Snapshot) -> "Totals":
        """Return what was kept.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: Something else was, by another version perhaps.
        """
        epoch, cache_on = snapshot["record"]
        totals = cls(record=(int(epoch), bool(cache_on)))
        for name, samples in snapshot["families"].items():
            totals.families[name] = {
                (str(sample), tuple((str(label), str(text)) for label, text in labels)): float(value)
                for sample, labels, value in samples
            }
        return totals

    def snapshot(self) -> Snapshot:
        """Return what `parsed` takes, of values that have a form in JSON."""
        return {
            "record": self.record,
            "families": {
                family: [[name, labels, value] for (name, labels), value in samples.items()]
                for family, samples in self.families.items()
            },
        }

    def add(self, other: "Totals") -> None:
        """Add what another process counted."""
        for name, samples in other.families.items():
            own = self.families[name]
            for key, value in samples.items():
                own[key] = own.get(key, 0.0) + value
        # By the epoch, not by the time at which a process counted what it had seen: that may be a second later.
        self.record = max(self.record, other.record)


class SharedCounts(Collector):
    """The metrics of a registry with the values of totals, which include the registry's own.

    Args:
        registry: The registry with the metrics.
        totals: Their values.
    """

    def __init__(self, registry: CollectorRegistry, totals: Totals) -> None:
        self._registry = registry
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        epoch, cache_on = self._totals.record
        gauges = {EPOCH: float(epoch), CACHE_ON: float(cache_on)}
        for family in self._registry.collect():
            if family.type in _ADDED:
                yield _family(family, self._totals.families[family.name].items())
            elif family.name in gauges:
                yield _family(family, [((family.name, ()), gauges[family.name])])
            else:
                yield family


def _family(like: Metric, samples: Iterable[tuple[Key, float]]) -> Metric:
    family = Metric(like.name, like.documentation, like.type)
    family.samples = [Sample(name, dict(labels), value) for (name, labels), value in samples]
    return family
