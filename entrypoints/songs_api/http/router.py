"""From the table of routes to Falcon's router: what surrounds every handler, and the methods that follow."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import falcon
from falcon.routing import DefaultRouter

from songs.deadline import Deadline
from songs.errors import Forbidden
from songs.model import Role
from songs.ports.clock import Clock
from songs_api.http.failures import MethodNotAllowed
from songs_api.http.queries import NoQuery, read_query
from songs_api.http.reading import BodyReader
from songs_api.http.request import ApiRequest
from songs_api.http.routes import Route
from songs_api.http.validation import Check

Responder = Callable[..., None]

_NO_QUERY: Final = NoQuery()


class _Methods(dict[str, Responder]):
    """The responders of one path; a method that Falcon has never heard of is not allowed either."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self._allowed = allowed

    def __missing__(self, method: str) -> Responder:
        return partial(_refuse, self._allowed)


class TableRouter(DefaultRouter):
    """Routes to a resource's ``on_<method>`` whatever the table says the path offers, and nothing else.

    Before a handler runs, its route's role and query are checked. It is called with the path's fields, ``query``
    where the route has one, and ``read`` where it has a body: a function that reads the body.

    Args:
        reader: Reads bodies.
        clock: For the time that is left after a body was read.
        deadline_s: How long a request may wait for the storage.
        paths: The routes of each path.
    """

    def __init__(
        self, reader: BodyReader, clock: Clock, deadline_s: float, paths: Mapping[str, Sequence[Route]]
    ) -> None:
        super().__init__()
        self._reader = reader
        self._clock = clock
        self._deadline_s = deadline_s
        self._paths = paths

    def find(self, uri: str, req: falcon.Request | None = None) -> Any:  # noqa: ANN401 - Falcon's own tuple
        """Return what serves `uri`. Falcon would ignore any number of slashes at its start; we serve one path."""
        return None if uri.startswith("//") else super().find(uri, req)

    def route_of(self, method: str, path: str) -> Route | None:
        """Return the route that a request takes, None where there is none."""
        found = self.find(path)
        routes = self._paths.get(found[3], ()) if found else ()
        wanted = "GET" if method == "HEAD" else method
        return next((route for route in routes if route.method == wanted), None)

    def map_http_methods(self, resource: object, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - Falcon's signature
        """Return the responder of each method that the keyword argument `routes` has."""
        routes: Sequence[Route] = kwargs["routes"]
        offered = {route.method for route in routes}
        allowed = tuple(sorted(offered | {"OPTIONS"} | ({"HEAD"} if "GET" in offered else set())))
        methods = _Methods(allowed)
        for route in routes:
            methods[route.method] = self._responder(route, getattr(resource, f"on_{route.method.lower()}"))
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        methods["OPTIONS"] = partial(_offer, allowed)
        for method in falcon.COMBINED_METHODS:
            methods.setdefault(method, partial(_refuse, allowed))
        return methods

    def _responder(self, route: Route, handler: Responder) -> Responder:
        needs = route.needs if route.needs is not Role.USER else None
        query_model = None if route.query is NoQuery else route.query
        has_body = route.request is not None
        audited = route.audited

        def respond(req: ApiRequest, resp: falcon.Response, **params: Any) -> None:  # noqa: ANN401 - fields
            req.exchange.route = route
            if audited:
                req.exchange.target = next(iter(params.values()), None)
            if needs is not None and not req.user.role.includes(needs):
                raise Forbidden
            if query_model is not None:
                params["query"] = read_query(req.query_string, query_model)
            elif req.query_string:
                read_query(req.query_string, NoQuery)
            if has_body:
                params["read"] = partial(self._read, req, route)
            handler(req, resp, **params)

        return respond

    def _read(self, req: ApiRequest, route: Route, check: Check | None = None) -> Any:  # noqa: ANN401 - a model
        assert route.request is not None  # noqa: S101 - for the type checker
        body = self._reader.read(req, route.request, route.media_types, check)
        # The time that a client takes to send its body is not the storage's.
        req.exchange.deadline = Deadline.after(self._clock, self._deadline_s)
        return body


def _offer(allowed: tuple[str, ...], _: ApiRequest, resp: falcon.Response, **__: object) -> None:
    resp.status = 204
    resp.set_header("Allow", ", ".join(allowed))


def _refuse(allowed: tuple[str, ...], *_: object, **__: object) -> None:
    raise MethodNotAllowed(allowed)
