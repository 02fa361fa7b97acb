"""The pipeline around every answer: authentication and rate limits before, CORS, headers, logs and metrics after."""

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import falcon

from songs.caching.queries import CachedQuery
from songs.errors import InvalidToken, Unauthenticated
from songs.ports.clock import Clock
from songs_api.http.kernel.body_slots import CONNECTION
from songs_api.http.kernel.operation import PREFIX, ApiRequest, ApiResponse, Operation, RequestContext, by_request
from songs_api.http.kernel.rate_limits import Network, RateLimits, client_address
from songs_api.http.services import AppServices
from songs_api.telemetry.requests import REFUSALS, Finished, trace_id
from songs_api.telemetry.telemetry import Telemetry

_ELSEWHERE: Final = f"{Unauthenticated.summary} The routes are below {PREFIX}, and their documentation is at /docs."
_OTHER_SCHEME: Final = (
    f"{Unauthenticated.summary} The scheme of the Authorization header is Bearer: Authorization: Bearer <access_token>."
)


class Gate:
    """Authorizes requests: a request is public if an operation declares its exact path public; all others need a token.

    The path is compared as the router will see it, decoded once and not normalised in any way, so that no path can be
    public here and another operation there. Requests are refused before routing: a path that does not exist is 401 too.
    """

    def __init__(self, services: AppServices, operations: Iterable[Operation]) -> None:
        self._prefetcher = services.prefetcher
        self._access = services.access
        default = services.settings.limits.limiter_default
        self._by_address = RateLimits(services).address_limit("default", "default-network", default)
        self._by_user = self._by_address.addresses
        served = tuple(operations)
        self._public = by_request(each for each in served if each.needs is None)
        token = services.settings.telemetry.metrics_token
        self._metrics_token = token.get_secret_value().encode() if token is not None else b""
        self._metrics = by_request(each for each in served if each.for_metrics)

    def authorize(self, method: str, path: str, context: RequestContext) -> None:
        """Authorize any request.

        Raises:
            Unauthenticated, InvalidToken, Unavailable, RateLimited: As `authenticate`; on public routes only the last.
        """
        asked, environ = (method, path), context.environ
        public = self._public.get(asked)
        if public is None and "HTTP_AUTHORIZATION" not in environ and not path.startswith(f"{PREFIX}/"):
            raise Unauthenticated(_ELSEWHERE)
        if public is None and asked in self._metrics:
            if not hmac.compare_digest(_token(environ).encode(), self._metrics_token):
                raise InvalidToken
        elif public is None:
            self.authenticate(context)
        elif public.limited:
            context.operation = public
            self._by_address.charge(context, environ)

    def authenticate(self, context: RequestContext, query: CachedQuery | None = None) -> None:
        """Authenticate a request that needs a token, and count it against its user's limit.

        `query`, if it is given, is prefetched in the same round trip.

        Raises:
            Unauthenticated: The request has no token, or (`InvalidToken`) an invalid one.
            Unavailable: The token cannot be checked now.
            RateLimited: The user made too many requests.
        """
        context.principal = self._access.authenticate(_token(context.environ), deadline=context.deadline)
        if query is not None and self._prefetcher is not None:
            context.prefetched = self._prefetcher.begin(query)
        self._by_user.charge(context, f"user:{context.principal.user_id}")


def _token(environ: Mapping[str, Any]) -> str:
    header: str | None = environ.get("HTTP_AUTHORIZATION")
    if not header:
        raise Unauthenticated
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" and scheme.lower() != "bearer":
        # RFC 6750, 3.1: with another scheme, the response names the expected one and no error.
        raise Unauthenticated(_OTHER_SCHEME)
    return token.strip(" ")


_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
_RESPONSE_HEADERS: Final = (
    "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID"
)
_MAX_AGE_S: Final = 600


class Cors:
    """Lets the pages of some origins read answers. Credentials are tokens that a page holds, never cookies.

    Before most requests a browser sends a preflight request, without a token. The response is the same for every path,
    so it reveals nothing that needs a token. From other origins a preflight is refused like any request without a
    token.

    Args:
        origins: As browsers write them: scheme, host, and a port that is not the scheme's own.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def answers(self, req: ApiRequest, resp: falcon.Response) -> bool:
        """Answer an OPTIONS request if it is a question of a browser for one of the origins; return whether it was."""
        if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in req.env or req.env.get("HTTP_ORIGIN") not in self._origins:
            return False
        resp.status = 204
        resp.set_headers(
            {
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _REQUEST_HEADERS,
                "Access-Control-Max-Age": str(_MAX_AGE_S),
            }
        )
        resp.complete = True
        return True

    def headers(self, environ: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers by which the requesting page may or may not read the response."""
        if not self._origins:
            return {}
        origin = environ.get("HTTP_ORIGIN")
        if origin not in self._origins:
            return {"vary": "Origin"}
        return {
            "vary": "Origin",
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _RESPONSE_HEADERS,
        }


_SERVER_ERROR: Final = 500


class Middleware:
    """Falcon's middleware; the fast path calls the same steps.

    Args:
        services: The services of the application.
        operations: All operations.
        operation_of: Returns the operation of a method and path, if there is one.

    Attributes:
        gate: Authorizes requests.
    """

    def __init__(
        self,
        services: AppServices,
        operations: Iterable[Operation],
        operation_of: Callable[[str, str], Operation | None],
    ) -> None:
        self.gate = Gate(services, operations)
        self._operation_of = operation_of
        self._observer = RequestObserver(services.telemetry, services.clock, services.settings.http.trusted_proxies)
        self._cors = Cors(services.settings.http.cors_origins)

    def process_request(self, req: ApiRequest, resp: ApiResponse) -> None:
        """Let the request in, unless it was refused before it came here."""
        if req.api_context.refusal is not None:
            raise req.api_context.refusal
        if req.method != "OPTIONS" or not self._cors.answers(req, resp):
            self.gate.authorize(req.method, req.path, req.api_context)

    def process_response(self, req: ApiRequest, resp: ApiResponse, *_: object) -> None:
        """Note what became of the request."""
        context, status = req.api_context, resp.status_code
        if status >= _SERVER_ERROR and context.operation is None:
            # It ended before it was routed, and its line says all the same what an outage did to which requests.
            context.operation = self._operation_of(req.method, req.path)
        resp.put(self.answered(context, req.method, status))

    def answered(self, context: RequestContext, method: str, status: int) -> dict[str, str]:
        """Note what became of a request, and return the headers that name it and say what is left of its limits."""
        environ = context.environ
        self._observer.note(context, method, status)
        headers = self._cors.headers(environ)
        headers["x-request-id"] = context.request_id
        if CONNECTION in environ and not context.body_was_read:
            # The rest of the body would be taken for the next request; servers close then, and clients should know.
            headers["connection"] = "close"
        if context.charged is not None:
            headers["ratelimit-policy"], headers["ratelimit"] = context.charged
        return headers


class RequestObserver:
    """Hands answered requests to the telemetry, whose threads log and count them later.

    Args:
        telemetry: Logs and counts.
        clock: Times requests.
        trusted: Networks of proxies whose X-Forwarded-For is believed.
    """

    def __init__(self, telemetry: Telemetry, clock: Clock, trusted: Sequence[Network]) -> None:
        self._log = telemetry.requests
        self._clock = clock
        self._trusted = trusted

    def note(self, context: RequestContext, method: str, status: int) -> None:
        """Note what became of a request."""
        operation, environ, principal = context.operation, context.environ, context.principal
        audited = status in REFUSALS or (operation is not None and operation.audited)
        if not audited and status < self._log.wanted_from:
            return
        ended_s = self._clock.monotonic_s()
        traceparent = environ.get("HTTP_TRACEPARENT")
        self._log.note(
            Finished(
                context.request_id,
                method,
                operation,
                audited,
                status,
                context.problem_code,
                principal.user_id if principal else None,
                self._address(environ) if audited else None,
                context.target,
                trace_id(traceparent) if traceparent else None,
                context.started_s,
                ended_s,
            )
        )

    def _address(self, environ: Mapping[str, Any]) -> str:
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
        return str(client_address(environ.get("REMOTE_ADDR", ""), forwarded_for, self._trusted) or "unknown")
