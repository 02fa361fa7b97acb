"""Health, and the documentation."""

from collections.abc import Callable
from typing import Final

import falcon

from songs_api.http.conditions import is_known
from songs_api.http.docs_page import CONTENT_SECURITY_POLICY
from songs_api.http.readiness import ReadinessProbe
from songs_api.http.rendering import encode
from songs_api.http.request import ApiRequest

_REVALIDATED: Final = "public, no-cache"


class Health:
    """GET /health: touches nothing that could hang."""

    _healthy: Final = encode({"status": "healthy"})

    def on_get(self, _: ApiRequest, resp: falcon.Response) -> None:
        """Answer that the process answers."""
        resp.data = self._healthy


class Readiness:
    """GET /health/ready."""

    def __init__(self, probe: ReadinessProbe) -> None:
        self._probe = probe

    def on_get(self, _: ApiRequest, resp: falcon.Response) -> None:
        """Answer 200 if the storage answers, else 503; the cache is reported."""
        found = self._probe.ask()
        if not found.storage:
            resp.status = 503
            resp.set_header("Retry-After", "1")
        resp.data = encode(
            {
                "status": "ready" if found.storage else "unavailable",
                "checks": {
                    "storage": "up" if found.storage else "down",
                    "cache": "up" if found.cache else "down",
                },
            }
        )


class MetricsPage:
    """GET /metrics.

    Args:
        exposition: Returns all metrics as of now, in Prometheus' text form.
    """

    def __init__(self, exposition: Callable[[], bytes]) -> None:
        self._exposition = exposition

    def on_get(self, _: ApiRequest, resp: falcon.Response) -> None:
        """Answer with the metrics."""
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.data = self._exposition()


class Pointer:
    """GET of where browsers begin.

    Args:
        target: Where it leads, as a relative reference, which is right behind any proxy.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._body = f"The documentation of the Songs API is at {target}; its routes are below /api/v1.\n".encode()

    def on_get(self, _: ApiRequest, resp: falcon.Response) -> None:
        """Lead there."""
        resp.status = 302
        resp.set_header("Location", self._target)
        resp.content_type = "text/plain; charset=utf-8"
        resp.data = self._body


class Document:
    """GET of something that never changes while the process lives: a file of the documentation, openapi.json.

    Args:
        content_type: Of the bytes.
        body: Returns the bytes, the same every time.
        etag: Returns a strong entity tag of the bytes, quoted.
    """

    def __init__(self, content_type: str, body: Callable[[], bytes], etag: Callable[[], str]) -> None:
        self._content_type = content_type
        self._body = body
        self._etag = etag

    def on_get(self, req: ApiRequest, resp: falcon.Response) -> None:
        """Answer with the bytes, or 304 to a client that has them."""
        etag = self._etag()
        resp.set_headers(
            {
                "ETag": etag,
                "Cache-Control": _REVALIDATED,
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            }
        )
        if is_known(req.env, etag):
            resp.status = 304
            return
        resp.content_type = self._content_type
        resp.data = self._body()
