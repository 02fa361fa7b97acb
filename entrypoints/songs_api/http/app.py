"""The HTTP application, built from given services, and the router to its operations."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import falcon
import orjson
from falcon.routing import DefaultRouter

from songs.errors import Forbidden, SongsError
from songs.limits import MAX_KEY, is_idempotency_key
from songs.model import Role
from songs.ports.clock import Clock, Deadline
from songs_api.http.api import accounts, pages, ratings, service, songs, users
from songs_api.http.kernel import openapi, problem_details
from songs_api.http.kernel.bodies import BodyReader
from songs_api.http.kernel.body_slots import BodySlots
from songs_api.http.kernel.operation import IDEMPOTENCY_KEY, ApiRequest, ApiResponse, Operation, Resource, operations_of
from songs_api.http.kernel.pipeline import Middleware
from songs_api.http.kernel.query_strings import NoQuery, read_query
from songs_api.http.kernel.read_plans import Answer, FastPath, ReadPlan, ReadPlans, conditional, required_if_match
from songs_api.http.kernel.validation import Check, Malformed, MethodNotAllowed
from songs_api.http.services import AppServices

Handler = Callable[..., Answer | ReadPlan]
Responder = Callable[..., None]
Input = Callable[[ApiRequest, Mapping[str, Any]], Any]
"""Takes one input of a handler from a request, of whose path the fields are known."""


OPERATIONS: Final[tuple[Operation, ...]] = operations_of(
    (*accounts.RESOURCES, *users.RESOURCES, *songs.RESOURCES, *ratings.RESOURCES, *service.RESOURCES, *pages.RESOURCES)
)
"""The resources that are always served; metrics need a token."""


@cache
def openapi_document() -> bytes:
    """Return the OpenAPI document as JSON, the same bytes every time."""
    return orjson.dumps(openapi.document(OPERATIONS), option=orjson.OPT_INDENT_2)


def create_app(services: AppServices) -> FastPath:
    """Return the WSGI application. Pure: reads no setting, does no I/O, and needs `services` open only to answer."""
    http = services.settings.http
    reader = BodyReader(
        max_bytes=http.max_body_bytes,
        slots=BodySlots(
            request_threads=services.settings.deployment.threads,
            clock=services.clock,
            timeout_s=http.body_timeout_s,
        ),
        trusted_proxies=http.trusted_proxies,
    )
    plans = ReadPlans()
    router = OperationRouter(reader, services.clock, http.deadline_s, plans)
    sign_in_limits = accounts.SignInLimits(services)
    resources = [
        *accounts.resources(services, sign_in_limits),
        *users.resources(services, sign_in_limits),
        *songs.resources(services),
        *ratings.resources(services),
        *service.resources(services),
        *pages.resources(openapi_document, page=services.settings.http.page == "on"),
    ]
    middleware = Middleware(services, operations_of(resources), router.operation_of)
    app = falcon.App(
        request_type=ApiRequest,
        response_type=ApiResponse,
        middleware=middleware,
        router=router,
    )
    app.resp_options.xml_error_serialization = False
    app.add_error_handler(Exception, problem_details.answer_defect)
    app.add_error_handler(falcon.HTTPError, problem_details.answer_http_error)
    app.add_error_handler(SongsError, problem_details.answer_songs_error)
    for resource in resources:
        router.add(app, resource)
    return FastPath(services, middleware, plans, app)


class _Methods(dict[str, Responder]):
    """The responders of one path; a method unknown to Falcon is not allowed either."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self._allowed = allowed

    def __missing__(self, method: str) -> Responder:
        return partial(_refuse, self._allowed)


class OperationRouter(DefaultRouter):
    """Routes requests to the operations of resources.

    Before a handler runs, its operation's role and query are checked. It is called with the context, the path's fields,
    and, where its operation has them, ``query``, ``if_match``, ``key`` and ``read``: a function that reads the body.
    It returns an `Answer`, or the `ReadPlan` of the target.

    Args:
        reader: Reads bodies.
        clock: Measures the time left after a body was read.
        deadline_s: The time that a request may wait for the storage.
        plans: Remembers the plans that handlers return.
    """

    def __init__(self, reader: BodyReader, clock: Clock, deadline_s: float, plans: ReadPlans) -> None:
        super().__init__()
        self._reader = reader
        self._clock = clock
        self._deadline_s = deadline_s
        self._plans = plans
        self._operations: dict[str, tuple[Operation, ...]] = {}

    def find(self, uri: str, req: falcon.Request | None = None) -> Any:  # noqa: ANN401 - Falcon's own tuple
        """Return what serves `uri`. Falcon would ignore any number of slashes at its start; we serve one path."""
        return None if uri.startswith("//") else super().find(uri, req)

    def operation_of(self, method: str, path: str) -> Operation | None:
        """Return the operation of a request; None if there is no such operation."""
        found = self.find(path)
        operations = self._operations.get(found[3], ()) if found else ()
        wanted = "GET" if method == "HEAD" else method
        return next((each for each in operations if each.method == wanted), None)

    def add(self, app: falcon.App[ApiRequest, ApiResponse], resource: Resource) -> None:
        """Add the operations of a resource to the router's application."""
        by_path: dict[str, tuple[Operation, ...]] = {}
        for each in operations_of([resource]):
            for path in each.paths:
                by_path[path] = (*by_path.get(path, ()), each)
        for path, operations in by_path.items():
            app.add_route(path, resource, operations=operations)
        self._operations |= by_path

    def map_http_methods(self, resource: object, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - Falcon's signature
        """Return the responder of each method that the keyword argument `operations` has."""
        operations: Sequence[Operation] = kwargs["operations"]
        offered = {each.method for each in operations}
        allowed = tuple(sorted(offered | {"OPTIONS"} | ({"HEAD"} if "GET" in offered else set())))
        methods = _Methods(allowed)
        for each in operations:
            methods[each.method] = self._responder(each, getattr(resource, f"on_{each.method.lower()}"))
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        methods["OPTIONS"] = partial(_offer, allowed)
        for method in falcon.COMBINED_METHODS:
            methods.setdefault(method, partial(_refuse, allowed))
        return methods

    def _responder(self, operation: Operation, handler: Handler) -> Responder:
        needs = operation.needs if operation.needs is not Role.USER else None
        declared = self._inputs(operation)
        audited = operation.audited
        # Pages are reached by links, to which others add parameters of their own.
        refuses_query = operation.query is NoQuery and operation.documented

        def respond(req: ApiRequest, resp: ApiResponse, **inputs: Any) -> None:  # noqa: ANN401 - fields
            context = req.api_context
            context.operation = operation
            if audited:
                context.target = next(iter(inputs.values()), None)
            if needs is not None and not context.user.role.includes(needs):
                raise Forbidden
            if refuses_query and req.query_string:
                read_query(req.query_string, NoQuery)
            for name, take in declared:
                inputs[name] = take(req, inputs)
            answer = handler(context, **inputs)
            if isinstance(answer, ReadPlan):
                plan, representation = answer, answer.query(context.deadline, context.prefetched)
                answer = conditional(representation, context.environ, plan.finish)
                if req.method == "GET" and operation.needs is Role.USER:
                    self._plans.remember((req.env["PATH_INFO"], req.env.get("QUERY_STRING", "")), operation, plan)
            resp.status, resp.data, headers, about = answer
            if headers:
                resp.put(headers)
            if about is not None:
                context.target = about

        return respond

    def _inputs(self, operation: Operation) -> list[tuple[str, Input]]:
        """Return what a handler is called with besides the fields of its path, in the order in which it is checked."""
        found: list[tuple[str, Input]] = []
        if operation.query is not NoQuery:
            found.append(("query", lambda req, _: read_query(req.query_string, operation.query)))
        if operation.if_match:
            found.append(("if_match", lambda req, fields: required_if_match(req.env, fields["song_id"])))
        if operation.idempotent_by_key:
            found.append(("key", _idempotency_key))
        if operation.request is not None:
            found.append(("read", lambda req, _: partial(self._read, req, operation)))
        return found

    def _read(self, req: ApiRequest, operation: Operation, check: Check | None = None) -> Any:  # noqa: ANN401 - a model
        assert operation.request is not None  # noqa: S101 - for the type checker
        body = self._reader.read(req, operation.request, operation.media_types, check)
        # The time that a client takes to send its body is not the storage's.
        req.api_context.deadline = Deadline.after(self._clock, self._deadline_s)
        return body


def _idempotency_key(req: ApiRequest, _: Mapping[str, Any]) -> str | None:
    key: str | None = req.env.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not is_idempotency_key(key):
        raise Malformed(f"{IDEMPOTENCY_KEY} must be 1 to {MAX_KEY} visible ASCII characters.")
    return key


def _offer(allowed: tuple[str, ...], _: ApiRequest, resp: falcon.Response, **__: object) -> None:
    resp.status = 204
    resp.set_header("Allow", ", ".join(allowed))


def _refuse(allowed: tuple[str, ...], *_: object, **__: object) -> None:
    raise MethodNotAllowed(allowed)
