"""Falcon's request, with what is known of it."""

from typing import Any

import falcon

from songs.deadline import Deadline
from songs.errors import Unauthenticated
from songs.services.access import Principal
from songs_api.http.exchange import ENVIRON_KEY, Exchange


class ApiRequest(falcon.Request):
    """Falcon's request with our state.

    Attributes:
        exchange: What is known of it.
    """

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env, options)
        self.exchange: Exchange = env[ENVIRON_KEY]
        if self.method == "WEBSOCKET":
            # Falcon's own pseudo method, which it refuses before any middleware; here it is an unknown one.
            self.method = "websocket"

    @property
    def deadline(self) -> Deadline:
        """When to give up on the storage."""
        return self.exchange.deadline

    @property
    def user(self) -> Principal:
        """Who is asking.

        Raises:
            Unauthenticated: Nobody known.
        """
        if self.exchange.principal is None:
            raise Unauthenticated
        return self.exchange.principal
