"""`songs demo`."""

import functools
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import IO, Final

import typer

from songs.deadline import Deadline
from songs.model import Role
from songs_api.cli.serve import Host, PortNumber
from songs_api.cli.session import load
from songs_api.container import Container
from songs_api.files.importing import import_songs, songs_file
from songs_api.files.records import FileUnusable
from songs_api.refusals import UserError, warn
from songs_api.servers import granian
from songs_api.servers.listening import free_port, once_listening, url
from songs_api.servers.options import ServerOptions
from songs_api.settings import Variables
from songs_api.startup import application

USER: Final = "demo"
TOKEN_TTL_S: Final = 12 * 3600
LIMIT: Final = "10000/minute"
_SIGN_UP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo's worker is told. Can be pickled."""

    variables: Variables
    catalogue: Path | None
    host: str
    port: int
    password: str = field(repr=False)


def demo(host: Host = None, port: PortNumber = None) -> None:
    """Serve a catalogue of public-domain pieces from memory, with a user that is ready to go. Nothing is kept.

    SONGS_DEMO_CATALOGUE names another file to serve, as `songs import` reads it.
    """
    settings = load(
        {
            "host": host,
            "port": port,
            "environment": "development",
            "server": "granian",
            "workers": 1,
            "storage": "memory",
            "cache": "memory",
            "limiter": "memory",
            "limiter_default": LIMIT,
            "log_level": "warning",
            "limiter_register": LIMIT,
            "limiter_sign_in": LIMIT,
            "limiter_sign_in_address": LIMIT,
            "limiter_sign_in_user": LIMIT,
            "access_token_ttl_s": TOKEN_TTL_S,
            "password_min_length": 8,
        }
    )
    service = settings.service
    with _catalogue(service.demo_catalogue):
        pass
    chosen = free_port(service.host, service.port)
    told = Demo(settings.variables, service.demo_catalogue, service.host, chosen, secrets.token_urlsafe(12))
    granian.serve(
        ServerOptions.of(settings, port=chosen),
        functools.partial(application, settings.variables, functools.partial(_fill, told)),
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


def _fill(told: Demo, container: Container) -> None:
    """Import the catalogue; once the service answers, add the user and print how to begin."""

    def refuse(line: int, reason: str) -> None:
        warn(f"the catalogue's line {line} is left out: {reason}")

    with _catalogue(told.catalogue) as file:
        report = import_songs(file, container.importer(), container.clock(), refuse=refuse)

    def begin() -> None:
        accounts = container.accounts()
        deadline = Deadline.after(container.clock(), _SIGN_UP_S)
        # Hashing the password takes a quarter of a second: the first answer need not wait for it.
        user = accounts.register(USER, told.password, role=Role.EDITOR, deadline=deadline)
        typer.echo(_welcome(told, report.added, accounts.token_for(user).access_token))

    once_listening(told.host, told.port, begin)


def _welcome(told: Demo, count: int, token: str) -> str:
    address = url(told.host, told.port)
    curl = shlex.join(["curl", "-H", f"Authorization: Bearer {token}", f"{address}/api/v1/songs?page_size=3"])
    return f"""
Songs API: {count} songs in memory. Ctrl-C ends it, and forgets everything.

  documentation  {address}/docs
  user           {USER}
  password       {told.password}
  token          {token}
                 (good for 12 hours; the user is an editor)

Try it:

  {curl}
"""
