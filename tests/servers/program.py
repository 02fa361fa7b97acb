"""Serves what the tests look at, as `songs serve` serves the application: `program.py SERVER`.

``/environ`` answers with the request's environ; ``/held`` answers when the file ``release`` is there; any other path
with the number of requests that are held.
"""

import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from songs_api.bootstrap.handover import Application
from songs_api.bootstrap.startup import application
from songs_api.servers.options import ServerOptions, serve_with
from songs_api.settings import Variables, resolve
from songs_plugins.registry import Registry

_held = 0
_lock = threading.Lock()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer."""
    global _held  # noqa: PLW0603 - one counter for all threads
    if environ["PATH_INFO"] == "/environ":
        body = json.dumps({name: str(value) for name, value in environ.items()})
    elif environ["PATH_INFO"] == "/held":
        with _lock:
            _held += 1
        while not Path("release").exists():
            time.sleep(0.01)
        body = "released"
    else:
        body = str(_held)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]


def load(variables: Variables) -> Application:
    """Make the real application, which cleans the environment, and serve the other one."""
    application(variables)
    return app


if __name__ == "__main__":
    settings = resolve(Variables.read(), Registry())
    serve_with(
        sys.argv[1],
        ServerOptions.of(settings, port=settings.service.deployment.port),
        functools.partial(load, settings.variables),
    )
