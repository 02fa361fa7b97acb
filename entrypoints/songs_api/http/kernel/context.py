"""The context of one request, and Falcon's request and response that carry it."""

from collections.abc import Mapping
from typing import Any, Final

import falcon

from songs.application.access import Principal
from songs.caching.prefetch import Prefetched
from songs.errors import Unauthenticated
from songs.ports.clock import Deadline
from songs_api.http.kernel.operation import Operation

CONTEXT_KEY: Final = "songs_api.context"
"""The key of the context in the WSGI environment. No header of a client can have this name."""


class RequestContext:
    """A request. Steps of the pipeline fill it in, in their order; handlers only read it.

    Attributes:
        environ: The WSGI environment.
        request_id: The id of the request in responses and logs, made by the service.
        started_s: The time at which it arrived, by the monotonic clock.
        deadline: The deadline for the storage.
        principal: The authenticated user; None on public routes.
        prefetched: Counts the request, and prefetches the cache entry that it will read.
        charged: The limits that it counted against and the rest of each, as headers; None if there are none.
        operation: The operation that handles it, once it is known.
        target: The target of an audited request: the id of a song or a user, or a user's name from the path.
        problem_code: The code of the problem in the response.
        refusal: The error by which it was refused before Falcon, which answers with it as a problem.
        body_was_read: Whether its whole body was received, so that another request may follow on its connection.
    """

    # Of the class: most requests leave most of them as they are.
    principal: Principal | None = None
    prefetched: Prefetched | None = None
    charged: tuple[str, str] | None = None
    operation: Operation | None = None
    target: str | None = None
    problem_code: str | None = None
    refusal: Exception | None = None
    body_was_read: bool = False

    def __init__(self, environ: Mapping[str, Any], request_id: str, started_s: float, deadline: Deadline) -> None:
        self.environ = environ
        self.request_id = request_id
        self.started_s = started_s
        self.deadline = deadline

    @property
    def user(self) -> Principal:
        """The authenticated user.

        Raises:
            Unauthenticated: The request has no user.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal


HEADERS: Final[dict[str, str]] = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Those that every answer has unless its operation says something else."""


class ApiRequest(falcon.Request):
    """Falcon's request.

    Attributes:
        api_context: The context of the request.
    """

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env, options)
        self.api_context: RequestContext = env[CONTEXT_KEY]
        if self.method == "WEBSOCKET":
            # Falcon's own pseudo method, which it refuses before any middleware; here it is an unknown one.
            self.method = "websocket"


class ApiResponse(falcon.Response):
    """Falcon's response, beginning with `HEADERS`."""

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self._headers = dict(HEADERS)

    def put(self, headers: Mapping[str, str]) -> None:
        """Set headers without the checks of `set_headers`: names are in lower case, and nothing is a client's."""
        self._headers.update(headers)
