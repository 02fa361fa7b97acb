"""Which server is which."""

from importlib import import_module
from typing import Final, cast

from songs_api.servers.options import Load, Serve, ServerOptions

_MODULES: Final = {"granian": "songs_api.servers.granian", "gunicorn": "songs_api.servers.run_gunicorn"}


def serve_with(server: str, options: ServerOptions, load: Load) -> None:
    """Serve with the server that the settings name, until SIGTERM or SIGINT."""
    # The other one is not imported: every start would pay for it.
    serve = cast("Serve", import_module(_MODULES[server]).serve)
    serve(options, load)
