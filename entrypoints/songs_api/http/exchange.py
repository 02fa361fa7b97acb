"""What is known of one request while it is answered, whichever way it goes."""

from typing import TYPE_CHECKING, Final

from songs.deadline import Deadline
from songs.services.access import Principal
from songs.services.read_ahead import Ahead

if TYPE_CHECKING:
    from songs_api.http.readings import Reading
    from songs_api.http.routes import Route

ENVIRON_KEY: Final = "songs_api.exchange"
"""Where Falcon's request finds it in the WSGI environment. No header of a client's can have this name."""


class Exchange:
    """A request and its answer.

    Attributes:
        request_id: Made by us; names this request in answers and logs.
        started_s: When it came, by the monotonic clock.
        deadline: When to give up on the storage.
        principal: Who is asking; None on public routes.
        ahead: Counts the request, and asks the cache for what it will read.
        charged: The limits that it counted against and what is left of each, as clients are told; None: of none.
        route: What answers it, once that is known.
        target: What a request that is audited was about: the id of a song or a user, or a user's name from the path.
        problem_code: The code of the problem that it was answered with.
        refusal: Why it was not answered before it came to Falcon, which answers with the problem that this is.
        body_was_read: Whether all of its body was received, so that another request may follow on its connection.
        reading: What answered it, and will answer the same target again.
    """

    # Of the class: most requests leave most of them as they are.
    principal: Principal | None = None
    ahead: Ahead | None = None
    charged: tuple[str, str] | None = None
    route: "Route | None" = None
    target: str | None = None
    problem_code: str | None = None
    refusal: Exception | None = None
    body_was_read: bool = False
    reading: "Reading | None" = None

    def __init__(self, request_id: str, started_s: float, deadline: Deadline) -> None:
        self.request_id = request_id
        self.started_s = started_s
        self.deadline = deadline
