"""What is noted is counted: no more, no less."""

import threading

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from songs_api.telemetry.metrics import BulkHistogram, Metrics

AMOUNTS = [0.0, 0.001, 0.0011, 0.25, 0.2500001, 7.0]


def _samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    metrics.collect()
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_many_observations_at_once_are_as_many_single_ones() -> None:
    """Bounds included, and beyond the last."""
    registries = CollectorRegistry(), CollectorRegistry()
    bulk = BulkHistogram("h", "", buckets=(0.001, 0.25, 5.0), registry=registries[0])
    single = Histogram("h", "", buckets=(0.001, 0.25, 5.0), registry=registries[1])

    bulk.observe_all(AMOUNTS)
    for amount in AMOUNTS:
        single.observe(amount)

    found, expected = (
        [line for line in generate_latest(registry).splitlines() if b"_created" not in line] for registry in registries
    )
    assert found == expected


def test_units_and_their_retries_are_counted() -> None:
    """By scope and outcome; attempts after the first are retries."""
    metrics = Metrics()
    metrics.unit("read", "ok", 1, 0.001)
    metrics.unit("write_one", "ok", 3, 0.02)
    metrics.unit("write_one", "storage_unavailable", 1, 3.0)

    samples = _samples(metrics)

    name = "songs_storage_unit_duration_seconds_count"
    assert samples[name, (("outcome", "ok"), ("scope", "read"))] == 1
    assert samples[name, (("outcome", "ok"), ("scope", "write_one"))] == 1
    assert samples[name, (("outcome", "storage_unavailable"), ("scope", "write_one"))] == 1
    assert samples["songs_storage_retries_total", (("scope", "write_one"),)] == 2


def test_the_cache_and_the_limiter_are_counted() -> None:
    """Reads and invalidations by outcome, the record as it was last seen."""
    metrics = Metrics()
    for outcome in ("hit", "hit", "miss"):
        metrics.cache_read("hit" if outcome == "hit" else "miss")
    metrics.invalidation(done=True)
    metrics.invalidation(done=False)
    metrics.coherence(1, cache_on=True)
    metrics.coherence(4, cache_on=False)
    metrics.limiter_unavailable()
    metrics.breaker("redis", is_open=True)

    samples = _samples(metrics)

    assert samples["songs_cache_reads_total", (("outcome", "hit"),)] == 2
    assert samples["songs_cache_reads_total", (("outcome", "miss"),)] == 1
    assert samples["songs_cache_invalidations_total", (("outcome", "failed"),)] == 1
    assert samples["songs_coherence_epoch", ()] == 4
    assert samples["songs_coherence_cache_on", ()] == 0
    assert samples["songs_limiter_unavailable_total", ()] == 1
    assert samples["songs_breaker_changes_total", (("adapter", "redis"), ("to", "open"))] == 1


def test_what_threads_note_meanwhile_is_not_lost() -> None:
    """Each of many notes from several threads is counted once, while it is being counted."""
    metrics = Metrics()
    count, threads = 5_000, 4

    def note() -> None:
        for _ in range(count):
            metrics.cache_read("hit")

    workers = [threading.Thread(target=note) for _ in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        metrics.collect()
    for worker in workers:
        worker.join()

    assert _samples(metrics)["songs_cache_reads_total", (("outcome", "hit"),)] == count * threads
