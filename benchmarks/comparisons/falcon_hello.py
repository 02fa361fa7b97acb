"""What the framework costs alone: one resource that answers with a constant."""

from pathlib import Path
from typing import Any

import falcon


class Hello:
    """GET /hello."""

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        resp.data = b'{"message":"hello"}'


def application(_: str, ready: Path) -> Any:  # noqa: ANN401 - a WSGI application
    """Return the application."""
    app = falcon.App()
    app.add_route("/hello", Hello())
    ready.write_text("{}")
    return app
