"""What every request passes before anything is looked up: its id, who is asking, and the default limit."""

import hmac

from songs.deadline import Deadline
from songs.errors import InvalidToken, Unauthenticated
from songs_api.http.client_address import bucket_of
from songs_api.http.cors import Cors
from songs_api.http.limits import Limit
from songs_api.http.request import ApiRequest
from songs_api.http.request_ids import RequestIds
from songs_api.http.response import ApiResponse
from songs_api.http.routes import METRICS, by_request, public_routes
from songs_api.parts import Parts


class Gate:
    """Middleware. A request is public if the table of routes names its method and exact path; all others need a token.

    The path is compared as the router will see it, decoded once and not normalised in any way, so that nothing can be
    public here and another route there. Refusals come before routing: a path that does not exist is 401 as well.
    """

    def __init__(self, parts: Parts) -> None:
        self._ids = RequestIds()
        self._clock = parts.clock
        self._read_ahead = parts.read_ahead
        self._access = parts.access
        limits, meter = parts.options.limits, parts.recorder.meter
        self._limit = Limit("default", parts.limiter, limits.default, parts.clock, shared=limits.shared, meter=meter)
        self._deadline_s = parts.options.deadline_s
        self._trusted = parts.options.trusted_proxies
        self._public = public_routes()
        self._metrics_token = parts.options.metrics_token
        self._metrics = by_request([METRICS]) if self._metrics_token else {}
        self._cors = Cors(parts.options.cors_origins)

    def process_request(self, req: ApiRequest, resp: ApiResponse) -> None:
        """Let the request in.

        Raises:
            Unauthenticated: It needs a token and has none, or (`InvalidToken`) none that is valid.
            Unavailable: Whether the token is still valid cannot be told now.
            RateLimited: Its user, or without a token its address, made too many.
        """
        req.request_id = self._ids.new()
        resp.put("x-request-id", req.request_id)
        req.deadline = Deadline(self._clock, req.started_s + self._deadline_s)
        if req.method == "OPTIONS" and self._cors.answers(req, resp):
            return
        asked = req.method, req.path
        public = self._public.get(asked)
        if public is None and asked in self._metrics:
            if not hmac.compare_digest(_token(req).encode(), self._metrics_token):
                raise InvalidToken
        elif public is None:
            req.principal = self._access.authenticate(_token(req), deadline=req.deadline)
            if self._read_ahead is not None and req.method == "GET":
                req.ahead = self._read_ahead.begin(f"{req.path}?{req.query_string}")
            self._limit.charge(req, f"user:{req.principal.user_id}")
        elif public.limited:
            req.route = public
            self._limit.charge(req, bucket_of(req.env, self._trusted))

    def process_response(self, req: ApiRequest, resp: ApiResponse, *_: object) -> None:
        """Tell what is left of the limits, and who else may read the answer."""
        if self._cors.origins:
            self._cors.allow(req, resp)
        if req.charged:
            policies, states = req.charged
            resp.put("ratelimit-policy", policies)
            resp.put("ratelimit", states)


def _token(req: ApiRequest) -> str:
    header: str | None = req.env.get("HTTP_AUTHORIZATION")
    if not header:
        raise Unauthenticated
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" and scheme.lower() != "bearer":
        raise InvalidToken
    return token.strip(" ")
