"""An answer, which begins with the headers that every one has."""

from collections.abc import Mapping
from typing import Final

import falcon

HEADERS: Final[dict[str, str]] = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class ApiResponse(falcon.Response):
    """Falcon's response with the headers that an answer has unless its resource says something else."""

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        super().__init__(options)
        self._headers = dict(HEADERS)

    def put(self, headers: Mapping[str, str]) -> None:
        """Set headers without the checks of `set_headers`: names are in lower case, and nothing is a client's."""
        self._headers.update(headers)
