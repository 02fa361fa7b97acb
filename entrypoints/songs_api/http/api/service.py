"""The service itself: health, metrics and the documentation.

The documentation's page works offline: it is Swagger UI and three small files of ours, from the folder `docs_page`. It
is served at `<prefix>/docs`, without a trailing slash, and each entry of `ASSETS` at `<prefix>/docs/<file name>`; the
page reads its document from `<prefix>/openapi.json`. All its addresses are relative.

`swagger-ui-bundle.js` and `swagger-ui.css` are swagger-ui-dist 5.35.0, unmodified, under Apache-2.0; the licences of
what the bundle contains are in `swagger-ui-bundle.js.LICENSE.txt`.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from songs.errors import SongsError
from songs.ports.cache import Cache
from songs.ports.clock import Clock, Deadline
from songs.ports.storage import Storage
from songs_api.http.kernel.operation import PREFIX, Operation, RequestContext, Resource
from songs_api.http.kernel.read_plans import Answer, encode, is_known
from songs_api.http.kernel.validation import answer_config
from songs_api.http.services import AppServices

_REVALIDATED: Final = "public, no-cache"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The value of the Content-Security-Policy header the page and its assets are served with."""

_HTML: Final = "text/html; charset=utf-8"
_JAVASCRIPT: Final = "text/javascript; charset=utf-8"
_CSS: Final = "text/css; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of the page. The file is read on the first use of `body` or `etag`, and kept.

    Safe to use from several threads: two first uses at once read the same bytes twice.
    """

    file_name: str
    content_type: str

    @cached_property
    def body(self) -> bytes:
        """The file's bytes, exactly as they are sent.

        Raises:
            FileNotFoundError: The installation is incomplete.
        """
        return files("songs_api.http").joinpath("docs_page", self.file_name).read_bytes()

    @cached_property
    def etag(self) -> str:
        """A strong entity tag, quoted as in the ETag header, that changes exactly when `body` changes."""
        return f'"{hashlib.sha256(self.body).hexdigest()}"'


PAGE: Final = Asset(file_name="index.html", content_type=_HTML)
"""The page. It is not in `ASSETS`: under `/docs/index.html` its relative addresses would lead nowhere."""

ASSETS: Final[Mapping[str, Asset]] = MappingProxyType(
    {
        file_name: Asset(file_name=file_name, content_type=content_type)
        for file_name, content_type in (
            ("init.js", _JAVASCRIPT),
            ("page.css", _CSS),
            ("swagger-ui-bundle.js", _JAVASCRIPT),
            ("swagger-ui-bundle.js.LICENSE.txt", _TEXT),
            ("swagger-ui.LICENSE", _TEXT),
            ("swagger-ui.NOTICE", _TEXT),
            ("swagger-ui.css", _CSS),
        )
    }
)
"""The files of the page, by name. Only these are served, so a request never becomes a path."""


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


def _static(operation_id: str) -> Operation:
    return Operation(
        needs=None,
        operation_id=operation_id,
        tag="service",
        summary="Get a file of the documentation",
        limited=False,
        at_root=True,
        documented=False,
    )


class OpenApiDocument(Resource):
    """The OpenAPI document.

    Args:
        body: Returns the document, as JSON. It is called when somebody asks: a start should not take longer for it.
    """

    paths = ("/openapi.json",)

    def __init__(self, body: Callable[[], bytes]) -> None:
        self._body = body

    @cached_property
    def _etag(self) -> str:
        return f'"{hashlib.sha256(self._body()).hexdigest()}"'

    @_static("get_openapi")
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with the document, or 304 to a client that has it."""
        return _document(context, "application/json", self._etag, self._body)


class Docs(Resource):
    """The documentation page and its assets."""

    paths = ("/docs", *(f"/docs/{file_name}" for file_name in ASSETS))

    @_static("get_docs")
    def on_get(self, context: RequestContext) -> Answer:
        """Answer with a file, or 304 to a client that has it."""
        asset = ASSETS.get(context.environ["PATH_INFO"].rpartition("/")[2], PAGE)
        return _document(context, asset.content_type, asset.etag, lambda: asset.body)


class DocsPointer(Resource):
    """Redirects browsers to the documentation page, which has no trailing slash."""

    paths = ("/", "/docs/")

    @_static("get_docs_pointer")
    def on_get(self, context: RequestContext) -> Answer:
        """Lead there by a relative reference, which is right behind any proxy."""
        target = "../docs" if context.environ["PATH_INFO"].endswith("/docs/") else "docs"
        body = f"The documentation of the Songs API is at {target}; its routes are below {PREFIX}.\n".encode()
        return Answer(302, body, {"location": target, "content-type": "text/plain; charset=utf-8"})


RESOURCES: Final = (HealthPage, ReadinessPage, OpenApiDocument, DocsPointer, Docs)


def resources(services: AppServices, document: Callable[[], bytes]) -> Sequence[Resource]:
    """Return the resources of the service, `document` being its OpenAPI document; of metrics where a token is set."""
    probe = ReadinessProbe(
        services.storage, services.cache, services.clock, deadline_s=services.settings.http.deadline_s
    )
    found: list[Resource] = [HealthPage(), ReadinessPage(probe), OpenApiDocument(document), DocsPointer(), Docs()]
    if services.settings.telemetry.metrics_token is not None:
        found.append(MetricsPage(services.telemetry.exposition))
    return found


def _document(context: RequestContext, content_type: str, etag: str, body: Callable[[], bytes]) -> Answer:
    headers = {
        "etag": etag,
        "cache-control": _REVALIDATED,
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "referrer-policy": "no-referrer",
    }
    if is_known(context.environ, etag):
        return Answer(304, None, headers)
    return Answer(200, body(), headers | {"content-type": content_type})
