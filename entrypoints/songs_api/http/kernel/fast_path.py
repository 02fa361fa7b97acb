"""WSGI entry point: repeated GETs take a fast path; Falcon serves the rest."""

import random
import re
import secrets
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import falcon

from songs.ports.clock import Deadline
from songs_api.http.kernel.context import CONTEXT_KEY, HEADERS, ApiRequest, ApiResponse, RequestContext
from songs_api.http.kernel.http_errors import Malformed
from songs_api.http.kernel.pipeline import Middleware
from songs_api.http.kernel.rate_limits import forwarded_for
from songs_api.http.kernel.read_plans import ReadPlans, conditional
from songs_api.http.services import AppServices

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Za-z:.%~_-]+\])(?::[0-9]{0,5})?", re.ASCII)
_STATUS_LINES: Final = {200: "200 OK", 304: "304 Not Modified"}
_WITHOUT_HOST: Final = frozenset({"HTTP/1", "HTTP/1.0"})

StartResponse = Callable[..., Callable[[bytes], object]]


class FastPath:
    """The WSGI application.

    A GET of the catalogue is answered by a read plan, which depends on its target alone. Plans of answered targets are
    remembered: the next request for one is authenticated and counted like any other, and reads the same storage or
    cache, but needs no router, no check of its query, and none of Falcon's objects. Requests that are refused or fail
    on this path are passed on to Falcon, which answers with the problem.

    Args:
        services: The services of the application.
        middleware: The middleware of `app`, which surrounds responses on this path as well.
        plans: The remembered plans.
        app: Answers all other requests.
    """

    def __init__(
        self,
        services: AppServices,
        middleware: Middleware,
        plans: ReadPlans,
        app: falcon.App[ApiRequest, ApiResponse],
    ) -> None:
        self.app = app
        self._answered = middleware.answered
        self._authenticate = middleware.gate.authenticate
        self._plan_of = plans.get
        self._clock = services.clock
        self._deadline_s = services.options.deadline_s
        self._reads_forwarded = services.options.forwarded_header == "forwarded"
        self._ids = RequestIds()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        started_s = self._clock.monotonic_s()
        deadline = Deadline(self._clock, started_s + self._deadline_s)
        context = RequestContext(environ, self._ids.new(), started_s, deadline)
        if self._reads_forwarded:
            environ["HTTP_X_FORWARDED_FOR"] = forwarded_for(environ.get("HTTP_FORWARDED", ""))
        if not _names_one_host(environ.get("HTTP_HOST", ""), environ.get("SERVER_PROTOCOL")):
            context.refusal = Malformed("Send one Host header, with a host and maybe a port.")
            return self._through_falcon(context, environ, start_response)
        if environ["REQUEST_METHOD"] != "GET":
            return self._through_falcon(context, environ, start_response)
        known = self._plan_of((environ["PATH_INFO"], environ.get("QUERY_STRING", "")))
        if known is None:
            return self._through_falcon(context, environ, start_response)
        operation, plan = known
        try:
            self._authenticate(context, plan.query)
            context.operation = operation
            representation = plan.query(deadline, context.prefetched)
            status, body, own, _ = conditional(representation, environ, plan.finish)
        except Exception as error:  # noqa: BLE001 - Falcon knows what answers it
            context.refusal = error
            return self._through_falcon(context, environ, start_response)
        headers = {**HEADERS, **own} | self._answered(context, "GET", status)
        if body is not None:
            headers["content-type"] = falcon.MEDIA_JSON
            headers["content-length"] = str(len(body))
        start_response(_STATUS_LINES[status], list(headers.items()))
        return () if body is None else (body,)

    def _through_falcon(
        self, context: RequestContext, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[CONTEXT_KEY] = context
        try:
            return self.app(environ, start_response)
        finally:
            # The context has the environment: each would keep the other from being freed at once.
            del environ[CONTEXT_KEY]


@lru_cache(maxsize=1024)
def _names_one_host(host: str, protocol: str | None) -> bool:
    """Return whether a request names one host, as HTTP/1.1 has to (RFC 9112, 3.2). Servers join two by a comma."""
    return _HOST.fullmatch(host) is not None or (not host and protocol in _WITHOUT_HOST)


_SEED_BITS: Final = 256
_BITS: Final = 64


class RequestIds:
    """Makes ids of 32 hexadecimal digits: 16 of this process, and 16 of the request. Thread-safe.

    They need to be distinct and nothing more, and cost a tenth of ids in the order of time. They are random, not
    counted, so that they do not reveal the number of requests. Made after the fork.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._bits = random.Random(secrets.randbits(_SEED_BITS)).getrandbits  # noqa: S311 - names, not secrets

    def new(self) -> str:
        """Return the next id."""
        return f"{self._process}{self._bits(_BITS):016x}"
