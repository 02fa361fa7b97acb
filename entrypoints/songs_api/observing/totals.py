"""Metrics of several processes, added up."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from songs_api.observing.snapshots import Snapshot

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
    """What was counted: the samples of each family; and the latest coherence record that was seen."""

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


class Together(Collector):
    """The metrics of a registry with the values of totals, in which those of the registry are.

    Args:
        registry: Says which metrics there are.
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
