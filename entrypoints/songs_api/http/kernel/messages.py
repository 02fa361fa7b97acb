"""Falcon's request and response, with our context and headers."""

from collections.abc import Mapping
from typing import Any, Final

import falcon

from songs_api.http.kernel.context import CONTEXT_KEY, RequestContext

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
