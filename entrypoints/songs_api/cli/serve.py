"""`songs serve` and `songs demo`."""

import functools
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import IO, Annotated, Final, Literal

import typer

from songs.model import Role
from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import Load, UserError, warn
from songs_api.bootstrap.startup import application, identity_of, opened
from songs_api.cli.session import durable_storage, load
from songs_api.records import FileUnusable
from songs_api.servers import granian
from songs_api.servers.options import (
    ServerOptions,
    free_port,
    metrics_folder,
    once_listening,
    serve_with,
    url,
    window_table,
)
from songs_api.settings import Settings, Variables, check_serving
from songs_api.settings.service import PREFIX
from songs_api.telemetry.logs import say
from songs_api.transfer import import_songs, songs_file
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
    chosen = free_port(settings.service.deployment.host, settings.service.deployment.port)
    with metrics_folder(settings):
        # An error that would keep every worker from starting is found once, and reported in one line.
        with opened(settings) as container:
            identity = identity_of(container)
        with window_table(settings, settings.service.deployment.workers):
            run(settings, chosen, functools.partial(application, settings.variables, identity=identity))


def run(settings: Settings, port: int, load_application: Load) -> None:
    """Run the selected server and say on standard error when it listens."""
    deployment = settings.service.deployment
    once_listening(deployment.host, port, lambda: say(_listening(settings, port)))
    serve_with(deployment.server, ServerOptions.of(settings, port=port), load_application)


def _listening(settings: Settings, port: int) -> str:
    deployment, adapters = settings.service.deployment, settings.service.adapters
    address = url(deployment.host, port)
    # A storage that is a file says where it is.
    file = getattr(settings.adapters[Port.STORAGE].settings, "file", None)
    storage = f"{adapters.storage} at {file()}" if callable(file) else adapters.storage
    return (
        f"songs-api {version('songs-api')} on {address} ({deployment.server}, {deployment.workers} "
        f"{'process' if deployment.workers == 1 else 'processes'}); storage {storage}; documentation {address}/docs"
    )


def prepare() -> None:
    """Create the schema and indexes of the selected storage. Existing data stays; running it again is safe."""
    with durable_storage() as container:
        storage = container.settings().service.adapters.storage
    typer.echo(f"the storage {storage!r} is ready")


USER: Final = "demo"
LIMIT: Final = "10000/minute"
ALWAYS: Final = {"environment": "development", "server": "granian", "workers": "1", "storage": "memory"}
"""Settings that a demo always has: it writes to no durable storage, and ends with its only process."""
DEFAULTS: Final = {
    "cache": "memory",
    "limiter": "memory",
    "limiter_default": LIMIT,
    "limiter_register": LIMIT,
    "limiter_sign_in": LIMIT,
    "limiter_sign_in_address": LIMIT,
    "limiter_sign_in_user": LIMIT,
    "access_token_ttl_s": "43200",
    "log_level": "warning",
}
"""The defaults of a demo."""
_PASSWORD_LENGTH: Final = 16
_SIGN_UP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Demo:
    """The settings of the demo's worker. Can be pickled."""

    variables: Variables
    catalogue: Path | None
    host: str
    port: int
    lifetime: str
    page: bool
    password: str = field(repr=False)


def demo(host: Host = None, port: PortNumber = None) -> None:
    """Serve a catalogue of public-domain music from memory, with a user to sign in as. Nothing is stored.

    SONGS_DEMO_CATALOGUE names another file to serve, in a format of `songs import`. Other settings apply as usual,
    with defaults that suit a demo; but a demo is always one granian process with the storage in memory.
    """
    settings = load({"host": host, "port": port, **ALWAYS}, defaults=DEFAULTS)
    for name, value in ALWAYS.items():
        given = Variables.read().get(PREFIX + name.upper())
        if given not in {None, value}:
            warn(f"{PREFIX}{name.upper()} is {given!r}, and does not count here: a demo has {value!r}")
    service = settings.service
    with _catalogue(service.demo.demo_catalogue):
        pass
    chosen = free_port(service.deployment.host, service.deployment.port)
    details = Demo(
        settings.variables,
        service.demo.demo_catalogue,
        service.deployment.host,
        chosen,
        _lifetime(service.accounts.access_token_ttl_s),
        service.http.page == "on",
        _password(service.accounts.password_min_length),
    )
    granian.serve(
        ServerOptions.of(settings, port=chosen),
        functools.partial(application, settings.variables, functools.partial(_fill, details)),
        respawn=False,  # another worker would know nothing of what was rated
    )


@contextmanager
def _catalogue(path: Path | None) -> Iterator[IO[bytes]]:
    if path is None:
        with (files("songs_api") / "data" / "catalogue.jsonl").open("rb") as bundled:
            yield bundled
        return
    try:
        with songs_file(path) as file:
            yield file
    except FileUnusable as error:
        raise UserError(f"SONGS_DEMO_CATALOGUE: {path} {error.detail}") from error


def _fill(details: Demo, container: Container) -> None:
    """Import the catalogue; once the service responds, add the user and print the first steps."""

    def refuse(line: int, reason: str) -> None:
        warn(f"the catalogue's line {line} is left out: {reason}")

    with _catalogue(details.catalogue) as file:
        report = import_songs(file, container.importer(), container.clock(), refuse=refuse)

    def begin() -> None:
        accounts = container.accounts()
        deadline = Deadline.after(container.clock(), _SIGN_UP_S)
        # Hashing the password takes a quarter of a second: the first answer need not wait for it.
        user = accounts.register(USER, details.password, role=Role.EDITOR, deadline=deadline)
        typer.echo(_welcome(details, report.added, accounts.token_for(user).access_token))

    once_listening(details.host, details.port, begin)


def _welcome(details: Demo, count: int, token: str) -> str:
    address = url(details.host, details.port)
    songs = shlex.quote(f"{address}/api/v1/songs?page_size=3")
    # Browsers send what is behind a # to no server.
    page = f"  page           {address}/#user={USER}&password={details.password}\n" if details.page else ""
    return f"""
Songs API: {count} songs in memory. Ctrl-C ends it, and forgets everything.

{page}  documentation  {address}/docs
  user           {USER}
  password       {details.password}

Try it in another terminal (the token is valid for {details.lifetime}; the user is an editor):

  TOKEN={token}
  curl -H "Authorization: Bearer $TOKEN" {songs}
"""


def _password(least: int) -> str:
    length = max(_PASSWORD_LENGTH, least)
    return secrets.token_urlsafe(length)[:length]


def _lifetime(seconds: int) -> str:
    for unit, length_s in (("hour", 3600), ("minute", 60)):
        if seconds % length_s == 0:
            return f"{seconds // length_s} {unit}{'s' * (seconds != length_s)}"
    return f"{seconds} seconds"
