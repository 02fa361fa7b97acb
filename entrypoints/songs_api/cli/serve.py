"""`songs serve`."""

import functools
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from songs_api.bootstrap.handover import Load
from songs_api.bootstrap.startup import application, identity_of, opened
from songs_api.bootstrap.user_errors import warn
from songs_api.cli.session import durable_storage, load
from songs_api.servers.listening import free_port, once_listening, url
from songs_api.servers.options import ServerOptions, metrics_folder, serve_with, window_table
from songs_api.settings import Settings, check_serving
from songs_api.telemetry.logs import say
from songs_plugins import Port

Host = Annotated[str | None, typer.Option(help="The address to listen on. [SONGS_HOST]", show_default=False)]
PortNumber = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="The port to listen on; 0 picks a free one. [SONGS_PORT]", show_default=False),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="The number of processes. [SONGS_WORKERS]", show_default=False)
]


def serve(
    host: Host = None,
    port: PortNumber = None,
    workers: Workers = None,
    server: Annotated[
        Literal["granian", "gunicorn"] | None, typer.Option(help="The HTTP server. [SONGS_SERVER]", show_default=False)
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Requests in progress are answered."""
    settings = load({"host": host, "port": port, "workers": workers, "server": server})
    for line in check_serving(settings):
        warn(line)
    chosen = free_port(settings.service.host, settings.service.port)
    with metrics_folder(settings):
        # An error that would keep every worker from starting is found once, and reported in one line.
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


def prepare() -> None:
    """Create the schema and indexes of the selected storage. Existing data stays; running it again is safe."""
    with durable_storage() as container:
        storage = container.settings().service.storage
    typer.echo(f"the storage {storage!r} is ready")
