"""The service itself: health and metrics."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from songs.errors import SongsError
from songs.ports.cache import Cache
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Storage
from songs_api.http.kernel.operation import Operation, RequestContext, Resource
from songs_api.http.kernel.read_plans import Answer, encode
from songs_api.http.kernel.validation import answer_config
from songs_api.http.services import AppServices


class Health(BaseModel):
    """The process responds."""

    model_config = answer_config({"status": "healthy"})

    status: Annotated[Literal["healthy"], Field(description="Always `healthy`: the process responds.")]


class Readiness(BaseModel):
    """Whether requests can be served, and the state of each dependency. A cache that is down does no harm."""

    model_config = answer_config({"status": "ready", "checks": {"storage": "up", "cache": "up"}})

    status: Annotated[Literal["ready", "unavailable"], Field(description="Whether requests can be served.")]
    checks: Annotated[
        dict[Literal["storage", "cache"], Literal["up", "down"]], Field(description="The state of each dependency.")
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """The dependencies that responded."""

    storage: bool
    cache: bool


class ReadinessProbe:
    """Asks storage and cache. Thread-safe.

    While one thread asks, the others get the last result, so that a storage that hangs holds one thread at most. The
    first result is that the storage could be opened. Once a check has run for longer than its deadline, the storage
    counts as down.

    Args:
        storage: Has to respond for requests to be served.
        cache: Reported only.
        clock: The monotonic clock of this process.
        deadline_s: The time that the storage may take.
    """

    def __init__(self, storage: Storage, cache: Cache, clock: Clock, *, deadline_s: float) -> None:
        self._storage = storage
        self._cache = cache
        self._clock = clock
        self._deadline_s = deadline_s
        self._asking = threading.Lock()
        # Nobody is served before the storage was opened, which asked it; of the cache nothing bad is known.
        self._found = Found(storage=True, cache=True)
        self._asked_at_s: float | None = None

    def ask(self) -> Found:
        """Return what answers now, or answered last if another thread is asking."""
        if not self._asking.acquire(blocking=False):
            # None while the other thread has not noted when it began: what was asked before is no longer open.
            asked_at_s = self._asked_at_s
            overdue = asked_at_s is not None and self._clock.monotonic_s() - asked_at_s > self._deadline_s
            return Found(storage=False, cache=self._found.cache) if overdue else self._found
        try:
            self._asked_at_s = self._clock.monotonic_s()
            self._found = Found(storage=self._storage_answers(), cache=self._cache_answers())
            return self._found
        finally:
            self._asked_at_s = None
            self._asking.release()

    def _storage_answers(self) -> bool:
        try:
            self._storage.ping(deadline=Deadline.after(self._clock, self._deadline_s))
        except SongsError:
            return False
        return True

    def _cache_answers(self) -> bool:
        try:
            self._cache.ping()
        except SongsError:
            return False
        return True


class HealthPage(Resource):
    """Liveness: responds without using anything that could hang."""

    paths = ("/health",)

    def __init__(self) -> None:
        self._healthy = Answer(200, encode({"status": "healthy"}))

    @Operation(
        needs=None,
        operation_id="get_health",
        tag="service",
        summary="Check that the process responds",
        answers={200: Health},
        limited=False,
    )
    def on_get(self, _: RequestContext) -> Answer:
        """Answer that the process answers."""
        return self._healthy


class ReadinessPage(Resource):
    """Readiness: whether requests can be served."""

    paths = ("/health/ready",)

    def __init__(self, probe: ReadinessProbe) -> None:
        self._probe = probe

    @Operation(
        needs=None,
        operation_id="get_readiness",
        tag="service",
        summary="Check that requests can be served",
        answers={200: Readiness, 503: Readiness},
        limited=False,
    )
    def on_get(self, _: RequestContext) -> Answer:
        """Answer 200 if the storage answers, else 503; the cache is reported."""
        found = self._probe.ask()
        body = encode(
            {
                "status": "ready" if found.storage else "unavailable",
                "checks": {
                    "storage": "up" if found.storage else "down",
                    "cache": "up" if found.cache else "down",
                },
            }
        )
        return Answer(200, body) if found.storage else Answer(503, body, {"retry-after": "1"})


class MetricsPage(Resource):
    """Metrics in the text format of Prometheus; served if a token for them is set, to clients that send it.

    Args:
        exposition: Returns the current metrics.
    """

    paths = ("/metrics",)

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._exposition = exposition

    @Operation(
        operation_id="get_metrics",
        tag="service",
        summary="Get metrics for Prometheus",
        at_root=True,
        documented=False,
        for_metrics=True,
    )
    def on_get(self, _: RequestContext) -> Answer:
        """Answer with the metrics."""
        return Answer(200, self._exposition(), {"content-type": "text/plain; version=0.0.4; charset=utf-8"})


RESOURCES: Final = (HealthPage, ReadinessPage)


def resources(services: AppServices) -> Sequence[Resource]:
    """Return the resources of the service; of metrics where a token is set."""
    probe = ReadinessProbe(
        services.storage, services.cache, services.clock, deadline_s=services.settings.http.deadline_s
    )
    found: list[Resource] = [HealthPage(), ReadinessPage(probe)]
    if services.settings.telemetry.metrics_token is not None:
        found.append(MetricsPage(services.telemetry.exposition))
    return found
