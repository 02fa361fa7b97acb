"""What every request passes before anything is looked up: who is asking, and the default limit."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from songs.errors import InvalidToken, Unauthenticated
from songs.services.reads import CachedRead
from songs_api.http.exchange import Exchange
from songs_api.http.limits import RateLimits
from songs_api.http.routes import METRICS, PREFIX, by_request, public_routes
from songs_api.parts import Parts

_ELSEWHERE: Final = f"{Unauthenticated.summary} The routes are below {PREFIX}, and their documentation is at /docs."
_OTHER_SCHEME: Final = (
    f"{Unauthenticated.summary} The scheme of the Authorization header is Bearer: Authorization: Bearer <access_token>."
)


class Gate:
    """A request is public if the table of routes names its method and exact path; all others need a token.

    The path is compared as the router will see it, decoded once and not normalised in any way, so that nothing can be
    public here and another route there. Refusals come before routing: a path that does not exist is 401 as well.
    """

    def __init__(self, parts: Parts) -> None:
        self._read_ahead = parts.read_ahead
        self._access = parts.access
        default = parts.options.limits.default
        self._by_address = RateLimits(parts).address_limit("default", "default-network", default)
        self._by_user = self._by_address.addresses
        self._public = public_routes()
        self._metrics_token = parts.options.metrics_token
        self._metrics = by_request([METRICS]) if self._metrics_token else {}

    def check(self, method: str, path: str, exchange: Exchange, environ: Mapping[str, Any]) -> None:
        """Let a request in, whatever it asks for.

        Raises:
            Unauthenticated, InvalidToken, Unavailable, RateLimited: As `admit` does; on public routes only the last.
        """
        asked = method, path
        public = self._public.get(asked)
        if public is None and "HTTP_AUTHORIZATION" not in environ and not path.startswith(f"{PREFIX}/"):
            raise Unauthenticated(_ELSEWHERE)
        if public is None and asked in self._metrics:
            if not hmac.compare_digest(_token(environ).encode(), self._metrics_token):
                raise InvalidToken
        elif public is None:
            self.admit(exchange, environ)
        elif public.limited:
            exchange.route = public
            self._by_address.charge(exchange, environ)

    def admit(self, exchange: Exchange, environ: Mapping[str, Any], read: CachedRead | None = None) -> None:
        """Let a request in that needs a token. What it will read, if that is known, may be asked for together.

        Raises:
            Unauthenticated: It has no token, or (`InvalidToken`) none that is valid.
            Unavailable: Whether the token is still valid cannot be told now.
            RateLimited: Its user made too many.
        """
        exchange.principal = self._access.authenticate(_token(environ), deadline=exchange.deadline)
        if read is not None and self._read_ahead is not None:
            exchange.ahead = self._read_ahead.begin(read)
        self._by_user.charge(exchange, f"user:{exchange.principal.user_id}")


def _token(environ: Mapping[str, Any]) -> str:
    header: str | None = environ.get("HTTP_AUTHORIZATION")
    if not header:
        raise Unauthenticated
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" and scheme.lower() != "bearer":
        # RFC 6750, 3.1: who used another scheme is told which is expected, and of no error.
        raise Unauthenticated(_OTHER_SCHEME)
    return token.strip(" ")
