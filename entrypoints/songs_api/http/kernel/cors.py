"""Calls from pages of other origins (the Fetch standard's CORS): none, unless their origins are named."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import falcon

from songs_api.http.kernel.messages import ApiRequest

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
