"""Operations of the API: one method of one path, described where it is implemented.

A resource is a class with paths and Falcon's responders, each decorated with its description:

    class SongItem(Resource):
        paths = ("/songs/{song_id}",)

        @Operation(operation_id="get_song", tag="songs", summary="Get a song", answers={200: Song})
        def on_get(self, context: RequestContext, *, song_id: str) -> ReadPlan: ...

Routing, authentication, HEAD, OPTIONS and Allow, the audit trail and OpenAPI all follow from these descriptions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, TypeVar

import falcon
from pydantic import BaseModel

from songs import errors
from songs.application.access import Principal
from songs.caching.coherence_view import Prefetched
from songs.errors import SongsError, Unauthenticated
from songs.model import Role
from songs.ports.clock import Deadline
from songs_api.http.kernel import validation
from songs_api.http.kernel.query_strings import NoQuery

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"

GENERAL_PROBLEMS: Final[tuple[type[SongsError], ...]] = (
    validation.Malformed,
    errors.InvalidInput,
    errors.Unavailable,
)
"""Errors of any operation; a limited one may answer `errors.RateLimited` as well."""

_RESPONDER: Final = "on_"
_ATTRIBUTE: Final = "operation"

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path; as a decorator, describes the responder below it.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE, from the name of the responder. HEAD and OPTIONS follow.
        path: The path of the resource, below `PREFIX`, with fields in braces.
        needs: The minimum role; None allows everyone, without a token.
        operation_id: Its name in OpenAPI, and as an action in the audit trail.
        tag: Its group in OpenAPI.
        summary: One line.
        description: Further text, in Markdown.
        query: The model of the query parameters; others are refused, but where it is not documented.
        request: The model of the body; None if no body is read.
        media_types: The media types of the body.
        idempotent_by_key: Whether it accepts an Idempotency-Key.
        tagged: Whether successful responses have an ETag; such a GET accepts If-None-Match.
        if_match: Whether it requires If-Match.
        answers: The model of the body for each successful status; None if there is no body.
        problems: Errors of this operation, besides `GENERAL_PROBLEMS`.
        limited: Whether it counts against the default limit.
        audited: Whether every request is in the audit trail; refused requests always are.
        at_root: Whether it is served without `PREFIX` too.
        documented: Whether it is in OpenAPI.
        for_metrics: Whether it needs the token for metrics instead of a user's.
    """

    method: str = ""
    path: str = ""
    needs: Role | None = Role.USER
    operation_id: str
    tag: str
    summary: str
    description: str = ""
    query: type[BaseModel] = NoQuery
    request: type[BaseModel] | None = None
    media_types: tuple[str, ...] = (JSON,)
    idempotent_by_key: bool = False
    tagged: bool = False
    if_match: bool = False
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    problems: tuple[type[SongsError], ...] = ()
    limited: bool = True
    audited: bool = False
    at_root: bool = False
    documented: bool = True
    for_metrics: bool = False

    def __call__(self, handler: Handler) -> Handler:
        """Describe a responder, whose name says the method."""
        setattr(handler, _ATTRIBUTE, replace(self, method=handler.__name__.removeprefix(_RESPONDER).upper()))
        return handler

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path under which it is served."""
        return (PREFIX + self.path, self.path) if self.at_root else (PREFIX + self.path,)

    @property
    def template(self) -> str:
        """The path with its prefix, as logs and metrics name it."""
        return PREFIX + self.path


class Resource:
    """A resource with Falcon's responders, each described by an `Operation`.

    Attributes:
        paths: Its paths, below `PREFIX`.
    """

    paths: ClassVar[tuple[str, ...]] = ()


def operations_of(resources: Iterable[type[Resource] | Resource]) -> tuple[Operation, ...]:
    """Return the operations of resources, or of their classes, in the order in which they are written."""
    return tuple(
        replace(described, path=path)
        for resource in resources
        for path in resource.paths
        for handler in vars(resource if isinstance(resource, type) else type(resource)).values()
        if isinstance(described := getattr(handler, _ATTRIBUTE, None), Operation)
    )


def by_request(operations: Iterable[Operation]) -> dict[tuple[str, str], Operation]:
    """Return operations by method and exact path, a GET under HEAD as well."""
    found: dict[tuple[str, str], Operation] = {}
    for each in operations:
        for path in each.paths:
            found[each.method, path] = each
            if each.method == "GET":
                found["HEAD", path] = each
    return found


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
