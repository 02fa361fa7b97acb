"""The errors of the service, and an application in which one of them is raised."""

from collections.abc import Iterator

import falcon
from falcon import testing

from songs import errors
from songs.errors import SongsError
from songs_api.http.app import create_app
from songs_api.http.kernel import validation as failures

from .conftest import Service


def _all(kind: type[SongsError]) -> Iterator[type[SongsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all(child)


OURS = [kind for kind in _all(SongsError) if kind.__module__ in {errors.__name__, failures.__name__}]


def app_that_raises(service: Service, error: Exception) -> testing.TestClient:
    """Return a client of the application, where ``GET /raises`` raises `error`."""

    class Raises:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise error

    app = create_app(service.services)
    route = falcon.App()
    route.add_route("/raises", Raises())
    app.app._router_search = route._router.find
    return testing.TestClient(app)
