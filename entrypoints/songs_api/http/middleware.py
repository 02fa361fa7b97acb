"""Falcon's middleware: what comes before and after every answer."""

from collections.abc import Callable
from typing import Any, Final

from songs_api.http.body_slots import CONNECTION
from songs_api.http.cors import Cors
from songs_api.http.exchange import Exchange
from songs_api.http.gate import Gate
from songs_api.http.request import ApiRequest
from songs_api.http.response import ApiResponse
from songs_api.http.routes import Route
from songs_api.http.watch import Watch
from songs_api.parts import Parts

_SERVER_ERROR: Final = 500


class Middleware:
    """What is around every answer, whether Falcon gives it or `front`.

    Args:
        parts: What the application is made of.
        route_of: Returns the route of a method and path, if there is one.

    Attributes:
        gate: Lets requests in.
    """

    def __init__(self, parts: Parts, route_of: Callable[[str, str], Route | None]) -> None:
        self.gate = Gate(parts)
        self._route_of = route_of
        self._watch = Watch(parts.recorder, parts.clock, parts.options.trusted_proxies)
        self._cors = Cors(parts.options.cors_origins)

    def process_request(self, req: ApiRequest, resp: ApiResponse) -> None:
        """Let the request in, unless it was refused before it came here."""
        if req.exchange.refusal is not None:
            raise req.exchange.refusal
        if req.method != "OPTIONS" or not self._cors.answers(req, resp):
            self.gate.check(req.method, req.path, req.exchange, req.env)

    def process_response(self, req: ApiRequest, resp: ApiResponse, *_: object) -> None:
        """Note what became of the request."""
        status = resp.status_code
        if status >= _SERVER_ERROR and req.exchange.route is None:
            # Whoever looks for what an outage does wants to know of which requests; it ended before it was routed.
            req.exchange.route = self._route_of(req.method, req.path)
        resp.put(self.answered(req.exchange, req.env, req.method, status))

    def answered(self, exchange: Exchange, environ: dict[str, Any], method: str, status: int) -> dict[str, str]:
        """Note what became of a request, and return the headers that name it and say what is left of its limits."""
        self._watch.note(exchange, environ, method, status)
        headers = self._cors.headers(environ)
        headers["x-request-id"] = exchange.request_id
        if CONNECTION in environ and not exchange.body_was_read:
            # What is left of the body would be taken for the next request; servers close then, and clients should know.
            headers["connection"] = "close"
        if exchange.charged is not None:
            headers["ratelimit-policy"], headers["ratelimit"] = exchange.charged
        return headers
