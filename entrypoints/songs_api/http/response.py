"""An answer, which begins with the headers that every one has."""

from typing import Final

import falcon

_HEADERS: Final = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class ApiResponse(falcon.Response):
    """Falcon's response with the headers that an answer has unless its resource says something else."""

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self._headers = _HEADERS.copy()

    def put(self, name: str, value: str) -> None:
        """Set a header as `set_header` does, without its checks: `name` is in lower case, and neither is a client's."""
        self._headers[name] = value
