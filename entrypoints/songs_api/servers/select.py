"""Which server is which."""

from typing import Final

from songs_api.servers import granian, run_gunicorn
from songs_api.servers.options import Load, Serve, ServerOptions

_SERVERS: Final[dict[str, Serve]] = {"granian": granian.serve, "gunicorn": run_gunicorn.serve}


def serve_with(server: str, options: ServerOptions, load: Load) -> None:
    """Serve with the server that the settings name, until SIGTERM or SIGINT."""
    _SERVERS[server](options, load)
