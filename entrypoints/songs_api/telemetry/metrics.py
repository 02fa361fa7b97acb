"""Metrics for Prometheus, counted in the memory of each process and combined from `snapshots`."""

import logging
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict, deque
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from songs.ports.meter import CacheOutcome
from songs_api.telemetry.snapshots import CACHE_ON, EPOCH, Record, SharedCounts, Snapshot, Snapshots, Totals

T = TypeVar("T")

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_REQUEST_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
MAX_NOTED: Final = 100_000
"""Notes of one kind that wait to be counted: those beyond are dropped and counted as that."""
_UNIT_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 3.0)


_UNPUBLISHED: Final = (
    "The metrics of this process cannot be kept where the other processes find them: %s. Until they can be, /metrics "
    "shows all that was counted by the process that answers, and of the others what they could keep."
)
_log: Final = logging.getLogger(__name__)

# Where PROMETHEUS_MULTIPROC_DIR is set the client would map files, which end the process when their disk is full.
values.ValueClass = values.MutexValue


class BulkHistogram(Histogram):
    """A histogram that takes many observations in one step."""

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Observe each of `amounts`."""
        kept = list(amounts)
        for index, count in Tally(bisect_left(self._upper_bounds, amount) for amount in kept).items():
            self._buckets[index].inc(count)
        self._sum.inc(sum(kept))


class Metrics:
    """All metrics of the service; a `songs.ports.meter.Meter`. Thread-safe but for `collect`, called by one thread.

    Calls during a request only note an observation; `collect` counts it. `publish` is called by one thread at a time,
    which may be another one.

    Args:
        folder: The folder in which the processes of one service share their metrics; None for a single process.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._shared = None if folder is None else Snapshots(folder)
        self._before = Totals()
        self._published: Totals | None = None
        self._unpublished = False
        self._registry = CollectorRegistry()
        self._dropped: Tally[str] = Tally()
        self._units: deque[tuple[str, str, int, float]] = deque()
        self._cache_reads: deque[CacheOutcome] = deque()
        self._invalidations: deque[bool] = deque()
        self._record: Record = (0, False)
        self._limiter_failures: deque[None] = deque()
        self._breaker_changes: deque[tuple[str, bool]] = deque()
        self._requests = BulkHistogram(
            "songs_request_duration_seconds",
            "Requests by method, route and status.",
            ("method", "route", "status"),
            buckets=_REQUEST_BUCKETS_S,
            registry=self._registry,
        )
        self._unit_seconds = BulkHistogram(
            "songs_storage_unit_duration_seconds",
            "Units of work by scope and outcome, all attempts together.",
            ("scope", "outcome"),
            buckets=_UNIT_BUCKETS_S,
            registry=self._registry,
        )
        self._retries = self._counter("songs_storage_retries", "Attempts after the first of a unit of work.", "scope")
        self._cache = self._counter("songs_cache_reads", "Reads through the cache by outcome.", "outcome")
        self._invalidated = self._counter("songs_cache_invalidations", "Invalidations by outcome.", "outcome")
        self._limiter = self._counter("songs_limiter_unavailable", "Hits that the limiter did not answer.")
        self._breakers = self._counter(
            "songs_breaker_changes", "Circuit breakers that opened or closed.", "adapter", "to"
        )
        self._lost = self._counter(
            "songs_observations_dropped", "Notes that were not counted as too many waited.", "of"
        )
        self._epoch = self._gauge(EPOCH, "The epoch of the cache's entries.")
        self._cache_on = self._gauge(CACHE_ON, "1 while the cache is believed, 0 while it is off.")
        if self._shared is None:
            ProcessCollector(registry=self._registry)
        self._gauge("songs_build_info", "The version that serves.", "version").labels(version("songs-api")).set(1)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self._registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self._registry)

    def _note(self, noted: deque[T], of: str, what: T) -> None:
        if len(noted) < MAX_NOTED:
            noted.append(what)
        else:
            self._dropped[of] += 1

    def unit(self, scope: str, outcome: str, attempts: int, duration_s: float) -> None:
        """Note a unit of work."""
        self._note(self._units, "unit", (scope, outcome, attempts, duration_s))

    def cache_read(self, outcome: CacheOutcome) -> None:
        """Note a read through the cache."""
        self._note(self._cache_reads, "cache_read", outcome)

    def invalidation(self, *, done: bool) -> None:
        """Note an invalidation."""
        self._note(self._invalidations, "invalidation", done)

    def coherence(self, epoch: int, *, cache_on: bool) -> None:
        """Note the coherence record."""
        self._record = (epoch, cache_on)

    def limiter_unavailable(self) -> None:
        """Note that the limiter did not answer."""
        self._note(self._limiter_failures, "limiter", None)

    def breaker(self, adapter: str, *, is_open: bool) -> None:
        """Note that a circuit breaker opened or closed."""
        self._note(self._breaker_changes, "breaker", (adapter, is_open))

    def requests(self, durations_s: dict[tuple[str, str, str], list[float]], dropped: int = 0) -> None:
        """Count requests and their durations, by method, route and status. Called by the thread of `collect`.

        Args:
            durations_s: Their durations, in seconds.
            dropped: The number of further requests, which were dropped.
        """
        self._dropped["request"] += dropped
        for labels, durations in durations_s.items():
            self._requests.labels(*labels).observe_all(durations)

    def collect(self) -> None:
        """Count what was noted."""
        seconds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        retries: Tally[str] = Tally()
        for scope, outcome, attempts, duration_s in _taken(self._units):
            seconds[scope, outcome].append(duration_s)
            retries[scope] += attempts - 1
        for labels, durations in seconds.items():
            self._unit_seconds.labels(*labels).observe_all(durations)
        for scope, count in retries.items():
            self._retries.labels(scope).inc(count)
        for read, count in Tally(_taken(self._cache_reads)).items():
            self._cache.labels(read).inc(count)
        for done, count in Tally(_taken(self._invalidations)).items():
            self._invalidated.labels("done" if done else "failed").inc(count)
        self._limiter.inc(len(_taken(self._limiter_failures)))
        for (adapter, is_open), count in Tally(_taken(self._breaker_changes)).items():
            self._breakers.labels(adapter, "open" if is_open else "closed").inc(count)
        dropped, self._dropped = self._dropped, Tally()
        for of, count in dropped.items():
            self._lost.labels(of).inc(count)
        epoch, cache_on = self._record
        self._epoch.set(epoch)
        self._cache_on.set(cache_on)

    def publish(self) -> None:
        """Publish the counts for the other processes; log once when that fails, and once when it works again.

        This process goes on counting when the folder or its disk fails.
        """
        if self._shared is None:
            return
        try:
            if not self._shared.taken:
                self._before = _parsed(self._shared.take() or {})
            totals = self._own()
            if totals != self._published:
                self._shared.write(totals.snapshot())
                self._published = totals
        except OSError as error:
            if not self._unpublished:
                _log.warning(_UNPUBLISHED, error.strerror or error)
            self._unpublished = True
        else:
            if self._unpublished:
                _log.warning("The metrics of this process are kept again where the other processes find them.")
            self._unpublished = False

    def exposition(self) -> bytes:
        """Return all metrics, of every process, in Prometheus' text form."""
        if self._shared is None:
            return generate_latest(self._registry)
        totals = self._own()
        for snapshot in self._shared.others():
            totals.add(_parsed(snapshot))
        together = CollectorRegistry()
        together.register(SharedCounts(self._registry, totals))
        return generate_latest(together)

    def _own(self) -> Totals:
        totals = Totals.of(self._registry)
        totals.record = self._record
        totals.add(self._before)
        return totals


def _parsed(snapshot: Snapshot) -> Totals:
    try:
        return Totals.parsed(snapshot)
    except (KeyError, TypeError, ValueError, AttributeError):
        return Totals()


def _taken(noted: deque[T]) -> list[T]:
    return [noted.popleft() for _ in range(len(noted))]
