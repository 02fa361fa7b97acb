"""Logs and metrics of one process, the threads that emit them, and what is logged of cache and limiter."""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO

from songs.errors import Overloaded
from songs.ports.clock import Clock
from songs.ports.meter import UNMETERED, Meter
from songs_api.telemetry.logs import EVERY_S, MAX_TEXT, STOP_S, LinesHandler, LogBuffer, Render, timestamp
from songs_api.telemetry.requests import RequestLog

if TYPE_CHECKING:
    from songs_api.telemetry.metrics import Metrics

import contextlib
from dataclasses import dataclass
from typing import cast

from songs.errors import CacheUnavailable, LimiterUnavailable, SongsError
from songs.ports.cache import Cache, CountAndGet, Hit, Miss
from songs.ports.limiter import RateLimit, RateLimiter, Verdict

PUBLISH_EVERY_S: Final = 1.0
EXPOSE_S: Final = 1.0
"""The time that a reading of the metrics waits for another one: a disk that hangs holds one thread."""
FAILURE_EVERY_S: Final = 60.0
"""The minimum interval between messages about failures of the telemetry."""
_log: Final = logging.getLogger(__name__)


class Telemetry:
    """Buffers log events and metrics; background threads emit them. Thread-safe.

    One thread counts and renders events, another writes lines, and a third writes metrics for other processes. So a
    stream or a disk that hangs holds its own thread alone: the buffers are bounded, and the others go on. An error in
    one of the threads is logged and ends none.

    Args:
        render: Renders events as lines.
        clock: The clock by which requests are timed.
        level: The minimum level that is logged, of `logging`.
        metrics: The metrics; None if they are off.
        stream: The stream for lines; standard error by default.
    """

    def __init__(
        self,
        render: Render,
        clock: Clock,
        *,
        level: int,
        metrics: "Metrics | None" = None,
        stream: TextIO | None = None,
    ) -> None:
        self.metrics = metrics
        self.level = level
        self._clock = clock
        self._lines = LogBuffer(render, stream)
        self.requests = RequestLog(self._lines, metrics, clock, level)
        self._collecting = threading.Lock()
        self._exposing = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._hooks: tuple[Any, Any] | None = None
        self._failures = 0
        self._failure_told_at_s: float | None = None

    @property
    def meter(self) -> Meter:
        """The meter for the services."""
        return UNMETERED if self.metrics is None else self.metrics

    def audit(self, action: str, **members: object) -> None:
        """Buffer an audit line that is not about a request."""
        at = timestamp(self._clock.now().timestamp())
        self._lines.put({"timestamp": at, "level": "info", "event": "audit", "action": action, **members})

    def start(self) -> None:
        """Start the threads, and log Python's logging, warnings and thread errors from now on. Called after any fork.

        Otherwise these would be printed by their own thread, which may be answering a request.
        """
        logging.basicConfig(level=self.level, handlers=[LinesHandler(self._lines)], force=True)
        logging.captureWarnings(capture=True)
        self._hooks = threading.excepthook, sys.unraisablehook
        threading.excepthook = _log_failed_thread
        sys.unraisablehook = _log_unraisable
        self._lines.start()
        self._start("telemetry", self._collect, EVERY_S)
        if self.metrics is not None:
            self._start("metrics", self._publish, PUBLISH_EVERY_S)

    def stop(self) -> None:
        """Tell what is left, unless that takes long, and end the threads. Calling it again does nothing."""
        if self._hooks is not None:
            threading.excepthook, sys.unraisablehook = self._hooks
            self._hooks = None
            logging.captureWarnings(capture=False)
        self._stopped.set()
        for thread in self._threads:
            thread.join(STOP_S)
        if not any(thread.is_alive() for thread in self._threads):
            self._guarded(self._collect)
            if self._threads:
                self._guarded(self._publish)
            self._guarded(self.requests.close)
        self._threads.clear()
        self._lines.stop()

    def emit(self) -> None:
        """Emit everything that was buffered so far, at once."""
        self._collect()
        self._lines.write()

    def exposition(self) -> bytes:
        """Return all metrics up to now in Prometheus' text form; empty where none are kept.

        Raises:
            Overloaded: Another reading hangs.
        """
        if self.metrics is None:
            return b""
        if not self._exposing.acquire(timeout=EXPOSE_S):
            raise Overloaded
        try:
            self._collect()
            return self.metrics.exposition()
        finally:
            self._exposing.release()

    def _collect(self) -> None:
        with self._collecting:
            if self.metrics is not None:
                self.metrics.collect()
            self.requests.emit()

    def _publish(self) -> None:
        if self.metrics is not None:
            self.metrics.publish()

    def _start(self, name: str, work: Callable[[], None], every_s: float) -> None:
        self._threads.append(threading.Thread(target=self._run, args=(work, every_s), name=name, daemon=True))
        self._threads[-1].start()

    def _run(self, work: Callable[[], None], every_s: float) -> None:
        process = os.getpid()
        while not self._stopped.wait(every_s) and os.getpid() == process:
            self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - nothing that observes may end
            self._failures += 1
            now_s = self._clock.monotonic_s()
            if self._failure_told_at_s is None or now_s - self._failure_told_at_s >= FAILURE_EVERY_S:
                self._failure_told_at_s = now_s
                self._lines.put(
                    {
                        "timestamp": timestamp(self._clock.now().timestamp()),
                        "level": "error",
                        "event": "telemetry failed",
                        "failures": self._failures,
                        "exception": traceback.format_exc()[-MAX_TEXT:],
                    }
                )


def _log_failed_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit or failed.exc_value is None:
        return
    name = failed.thread.name if failed.thread is not None else "unknown"
    _log.error("the thread %r failed", name, exc_info=failed.exc_value)


def _log_unraisable(failed: Any) -> None:  # noqa: ANN401 - typed where types are checked only
    _log.error("%s", failed.err_msg or "an exception could not be raised", exc_info=failed.exc_value)


FIRST_SETTLE_S: Final = 5.0
LONGEST_SETTLE_S: Final = 60.0
_CACHE_LOST: Final = (
    "The cache %r does not answer (%s): reads go to the storage until it does, and take longer; the first write waits "
    "until no process believes old entries any more. Nothing is lost, and nothing old is answered."
)
_CACHE_BACK: Final = "The cache %r answers again, after %.0f s: reads use it as soon as all processes agree."
_LIMITER_LOST: Final = (
    "The limiter %r does not answer (%s): until it does, the service counts on its own and allows what was left of "
    "every limit, so that users and addresses may be refused sooner."
)
_LIMITER_BACK: Final = "The limiter %r answers again, after %.0f s: all processes count together."
_ASKED: Final = "availability:asked"


class Availability:
    """Notes whether one adapter responds, and logs changes. Thread-safe.

    It is back when it has responded and not failed for a while: at first `FIRST_SETTLE_S`, and twice as long each time
    that it stops again within a minute, to `LONGEST_SETTLE_S`. So an adapter that comes and goes is two lines a minute.

    Args:
        name: The adapter's name.
        lost: The line when it stops, with fields for the name and the reason.
        back: The line when it is back, with fields for the name and the length of the outage.
        clock: The monotonic clock of this process.

    Attributes:
        is_lost: Whether it is lost, as last logged.
    """

    def __init__(self, name: str, lost: str, back: str, clock: Clock) -> None:
        self.is_lost = False
        self._name = name
        self._lost = lost
        self._back = back
        self._clock = clock
        self._lock = threading.Lock()
        self._settle_s = FIRST_SETTLE_S
        self._lost_at_s = 0.0
        self._failed_at_s = 0.0
        self._back_at_s: float | None = None

    def failed(self, error: SongsError | None = None) -> None:
        """Note that it did not answer."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._failed_at_s = now_s
            if self.is_lost:
                return
            self.is_lost = True
            self._lost_at_s = now_s
            again = self._back_at_s is not None and now_s - self._back_at_s < LONGEST_SETTLE_S
            self._settle_s = min(2 * self._settle_s, LONGEST_SETTLE_S) if again else FIRST_SETTLE_S
        _log.warning(self._lost, self._name, error.detail if error is not None else "its entries are not there")

    def worked(self) -> None:
        """Note that it answered. Needs not be called while `is_lost` is false."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if not self.is_lost or now_s - self._failed_at_s < self._settle_s:
                return
            self.is_lost = False
            self._back_at_s = now_s
            lost_s = now_s - self._lost_at_s
        _log.warning(self._back, self._name, lost_s)


@dataclass(frozen=True, slots=True)
class Availabilities:
    """The availabilities of cache and limiter; None for one in this process' memory, which always responds."""

    cache: Availability | None
    limiter: Availability | None

    @classmethod
    def of(cls, clock: Clock, *, cache: str | None, limiter: str | None) -> "Availabilities":
        """Return those of a cache and a limiter by their names; None for one that always answers."""
        return cls(
            None if cache is None else Availability(cache, _CACHE_LOST, _CACHE_BACK, clock),
            None if limiter is None else Availability(limiter, _LIMITER_LOST, _LIMITER_BACK, clock),
        )

    def ask(self, cache: Cache, limiter: RateLimiter) -> None:
        """Ask both once, so that one that does not answer is logged at the start, not when somebody needs it.

        Args:
            cache: What `watched_cache` returned.
            limiter: What `watched_limiter` returned.
        """
        if self.cache is not None:
            with contextlib.suppress(CacheUnavailable):
                cache.ping()
        if self.limiter is not None:
            with contextlib.suppress(LimiterUnavailable):
                limiter.hit(_ASKED, RateLimit(1, 1))

    def watched_cache(self, cache: Cache) -> Cache:
        """Return the cache, with every call noted."""
        if self.cache is None:
            return cache
        return cast("Cache", _Watched(cache, self.cache, CacheUnavailable, ("ping", "get", "fill", "invalidate")))

    def watched_limiter(self, limiter: RateLimiter) -> RateLimiter:
        """Return the limiter, with every call noted."""
        if self.limiter is None:
            return limiter
        return cast("RateLimiter", _Watched(limiter, self.limiter, LimiterUnavailable, ("hit", "give_back")))

    def watched_counts(self, count_and_get: CountAndGet) -> CountAndGet:
        """Return `CountingCache.count_and_get` of a cache, with every call noted for cache and limiter apart."""
        cache, limiter = self.cache, self.limiter
        if cache is None or limiter is None:
            return count_and_get

        def noted(bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Hit | Miss | None]:
            try:
                verdict, entry = count_and_get(bucket, limit, group, key)
            except LimiterUnavailable as error:
                limiter.failed(error)
                raise
            if limiter.is_lost:
                limiter.worked()
            if entry is None:
                cache.failed()
            elif cache.is_lost:
                cache.worked()
            return verdict, entry

        return noted


class _Watched:
    """A proxy for an adapter that notes some calls; other attributes are the adapter's own."""

    def __init__(
        self, adapter: object, availability: Availability, unavailable: type[SongsError], calls: tuple[str, ...]
    ) -> None:
        self._adapter = adapter
        for name in dir(adapter):
            if name in calls:
                setattr(self, name, _noted(getattr(adapter, name), availability, unavailable))
            elif not name.startswith("_"):
                setattr(self, name, getattr(adapter, name))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the adapter has
        return getattr(self._adapter, name)


def _noted(call: Callable[..., Any], availability: Availability, unavailable: type[SongsError]) -> Callable[..., Any]:
    def noted(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - those of the call
        try:
            result = call(*arguments, **keywords)
        except unavailable as error:
            availability.failed(error)
            raise
        if availability.is_lost:
            availability.worked()
        return result

    return noted
