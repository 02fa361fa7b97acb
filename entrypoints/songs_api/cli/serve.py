"""`songs serve`."""

import functools
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from songs_api.cli.session import load
from songs_api.observing.lines import say
from songs_api.refusals import warn
from songs_api.servers.listening import free_port, once_listening, url
from songs_api.servers.metrics_folder import metrics_folder
from songs_api.servers.options import Load, ServerOptions
from songs_api.servers.select import serve_with
from songs_api.servers.window_table import window_table
from songs_api.settings import Settings, check_serving
from songs_api.startup import application, identity_of, opened
from songs_plugins import Port

Host = Annotated[str | None, typer.Option(help="The address to listen on. [SONGS_HOST]", show_default=False)]
PortNumber = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="The port to listen on; 0 picks a free one. [SONGS_PORT]", show_default=False),
]
Workers = Annotated[int | None, typer.Option(min=1, help="How many processes. [SONGS_WORKERS]", show_default=False)]


def serve(
    host: Host = None,
    port: PortNumber = None,
    workers: Workers = None,
    server: Annotated[
        Literal["granian", "gunicorn"] | None, typer.Option(help="The HTTP server. [SONGS_SERVER]", show_default=False)
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that were begun are answered."""
    settings = load({"host": host, "port": port, "workers": workers, "server": server})
    for line in check_serving(settings):
        warn(line)
    chosen = free_port(settings.service.host, settings.service.port)
    with metrics_folder(settings):
        # What would keep every worker from starting is found out once, and told in one line.
        with opened(settings) as container:
            identity = identity_of(container)
        with window_table(settings, settings.service.workers):
            run(settings, chosen, functools.partial(application, settings.variables, identity=identity))


def run(settings: Settings, port: int, load_application: Load) -> None:
    """Run the selected server and say on standard error when it listens."""
    service = settings.service
    once_listening(service.host, port, lambda: say(_listening(settings, port)))
    serve_with(service.server, ServerOptions.of(settings, port=port), load_application)


def _listening(settings: Settings, port: int) -> str:
    service = settings.service
    address = url(service.host, port)
    # A storage that is a file says where it is.
    file = getattr(settings.adapters[Port.STORAGE].settings, "file", None)
    storage = f"{service.storage} at {file()}" if callable(file) else service.storage
    return (
        f"songs-api {version('songs-api')} on {address} ({service.server}, {service.workers} "
        f"{'process' if service.workers == 1 else 'processes'}); storage {storage}; documentation {address}/docs"
    )
