"""Authentication and the default rate limit, before routing."""

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

from songs.caching.queries import CachedQuery
from songs.errors import InvalidToken, Unauthenticated
from songs_api.http.kernel.context import RequestContext
from songs_api.http.kernel.operation import PREFIX, Operation, by_request
from songs_api.http.kernel.rate_limits import RateLimits
from songs_api.http.services import AppServices

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
        default = services.options.limits.default
        self._by_address = RateLimits(services).address_limit("default", "default-network", default)
        self._by_user = self._by_address.addresses
        served = tuple(operations)
        self._public = by_request(each for each in served if each.needs is None)
        self._metrics_token = services.options.metrics_token
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
