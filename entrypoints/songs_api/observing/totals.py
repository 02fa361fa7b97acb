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

_ADDED: Final = frozenset({"counter", "histogram"})

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
"""A sample: its name and its labels."""


@dataclass(slots=True)
class Totals:
    """What was counted: the samples of each family; and the newest gauges, with the time of day that they are of."""

    families: dict[str, dict[Key, float]] = field(default_factory=lambda: defaultdict(dict))
    gauges_at_s: float = 0.0
    gauges: dict[str, float] = field(default_factory=dict)

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
        totals = cls(gauges_at_s=float(snapshot["gauges_at_s"]))
        totals.gauges = {str(name): float(value) for name, value in snapshot["gauges"].items()}
        for name, samples in snapshot["families"].items():
            totals.families[name] = {
                (str(sample), tuple((str(label), str(text)) for label, text in labels)): float(value)
                for sample, labels, value in samples
            }
        return totals

    def snapshot(self) -> Snapshot:
        """Return what `parsed` takes, of values that have a form in JSON."""
        return {
            "gauges_at_s": self.gauges_at_s,
            "gauges": self.gauges,
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
        if other.gauges_at_s > self.gauges_at_s:
            self.gauges_at_s, self.gauges = other.gauges_at_s, other.gauges


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
        for family in self._registry.collect():
            if family.type in _ADDED:
                yield _family(family, self._totals.families[family.name].items())
            elif family.name in self._totals.gauges:
                yield _family(family, [((family.name, ()), self._totals.gauges[family.name])])
            else:
                yield family


def _family(like: Metric, samples: Iterable[tuple[Key, float]]) -> Metric:
    family = Metric(like.name, like.documentation, like.type)
    family.samples = [Sample(name, dict(labels), value) for (name, labels), value in samples]
    return family
