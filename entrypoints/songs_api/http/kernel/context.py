"""The context of one request: what the steps of the pipeline have found out about it."""

from collections.abc import Mapping
from typing import Any, Final

from songs.application.access import Principal
from songs.caching.prefetch import Prefetched
from songs.errors import Unauthenticated
from songs.ports.clock import Deadline
from songs_api.http.kernel.operation import Operation

CONTEXT_KEY: Final = "songs_api.context"
"""Where Falcon's request finds it in the WSGI environment. No header of a client's can have this name."""


class RequestContext:
    """A request. Steps of the pipeline fill it in, in their order; handlers only read it.

    Attributes:
        environ: The WSGI environment.
        request_id: Made by us; names this request in answers and logs.
        started_s: When it came, by the monotonic clock.
        deadline: When to give up on the storage.
        principal: Who is asking; None on public routes.
        prefetched: Counts the request, and asks the cache for what it will read.
        charged: The limits that it counted against and what is left of each, as headers; None: of none.
        operation: What answers it, once that is known.
        target: What an audited request was about: the id of a song or a user, or a user's name from the path.
        problem_code: The code of the problem that it was answered with.
        refusal: Why it was refused before Falcon was asked, which answers with the problem that this is.
        body_was_read: Whether all of its body was received, so that another request may follow on its connection.
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
        """Who is asking.

        Raises:
            Unauthenticated: Nobody known.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal
