"""A request and what is known of it once it has passed the gate."""

from typing import TYPE_CHECKING, Any

import falcon

from songs.deadline import Deadline
from songs.errors import Unauthenticated
from songs.services.access import Principal
from songs.services.read_ahead import Ahead

if TYPE_CHECKING:
    from songs_api.http.routes import Route


class ApiRequest(falcon.Request):
    """Falcon's request with our state.

    Attributes:
        request_id: Made by us; names this request in answers and logs.
        deadline: When to give up on the storage.
        principal: Who is asking; None on public routes.
        started_s: When it came, by the monotonic clock.
        route: What answers it, once that is known.
        target: What a request that is audited was about: the id of a song or a user, or a user's name from the path.
        problem_code: The code of the problem that it was answered with.
        ahead: Counts the request, and may have asked the cache for what it reads.
        charged: The limits that it counted against and what is left of each, as clients are told; None: of none.
    """

    request_id: str = ""
    deadline: Deadline
    principal: Principal | None = None
    started_s: float = 0.0
    route: "Route | None" = None
    target: str | None = None
    problem_code: str | None = None
    ahead: Ahead | None = None
    charged: tuple[str, str] | None = None

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env, options)
        if self.method == "WEBSOCKET":
            # Falcon's own pseudo method, which it refuses before any middleware; here it is an unknown one.
            self.method = "websocket"

    @property
    def user(self) -> Principal:
        """Who is asking.

        Raises:
            Unauthenticated: Nobody known.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal
