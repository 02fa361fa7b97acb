"""Start one application on one of our servers, with a catalogue in it: `service.py OPTIONS`, as `subjects.py` says.

That is our own service, or something much smaller that it is measured against with the same options of the server.
"""

import argparse
import functools
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from songs.errors import UserExists
from songs.model import Role
from songs.ports.clock import Deadline
from songs.query import SongFilter, Walk
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import application
from songs_api.cli.session import load
from songs_api.servers.options import ServerOptions, serve_with
from songs_api.settings import Settings
from songs_api.transfer import import_songs

USER = "benchmark"
PASSWORD = "sesquipedalian measurements"  # noqa: S105 - of a user that lives as long as the benchmark
TOKEN_TTL_S = 12 * 3600


def main() -> None:
    """Serve until told to end."""
    asked = _arguments()
    settings = _settings(asked)
    if asked.application == "songs":
        start = functools.partial(application, settings.variables, functools.partial(_fill, asked))
    else:
        start = functools.partial(_other, asked)
    serve_with(asked.server, ServerOptions.of(settings, port=asked.port), start)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--application", default="songs", help="songs, or a module in comparisons/")
    parser.add_argument("--server", default="granian")
    parser.add_argument("--storage", default="memory")
    parser.add_argument("--cache", default="none")
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pin", default="no")
    parser.add_argument("--redis", default="", help="the URL of a Redis server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--catalogue", type=Path, required=True)
    parser.add_argument("--ready", type=Path, required=True, help="written before it answers: what a client must know")
    return parser.parse_args()


def _settings(asked: argparse.Namespace) -> Settings:
    options: dict[str, object] = {
        "port": asked.port,
        "server": asked.server,
        "threads": asked.threads,
        "workers": asked.workers,
        "pin_workers": asked.pin,
        "storage": asked.storage,
        "cache": asked.cache,
        "limiter": "redis" if asked.cache == "redis" else "memory",
        "limiter_default": "999999999/day",  # on, and in nobody's way
        "log_level": "warning",
        "access_token_ttl_s": TOKEN_TTL_S,
    }
    if asked.storage == "sqlite":
        options["sqlite_path"] = asked.ready.with_suffix(".db")
    if asked.cache == "redis":
        options["redis_url"] = asked.redis
    return load(options)


def _fill(asked: argparse.Namespace, container: Container) -> None:
    """Import the catalogue, make a user, and write down its token and the ids of the songs."""
    with asked.catalogue.open("rb") as file:
        import_songs(file, container.importer(), container.clock(), refuse=_refuse)
    deadline = Deadline.after(container.clock(), 60)
    accounts = container.accounts()
    try:
        user = accounts.register(USER, PASSWORD, role=Role.EDITOR, deadline=deadline)
    except UserExists:
        user = accounts.get(USER, deadline=deadline)
    ids: list[str] = []
    cursor: str | None = None
    while len(ids) < 2_000:  # noqa: PLR2004 - as many as are asked for
        page = container.catalogue().page(SongFilter(), Walk(cursor, 100), deadline=deadline)
        ids += [song.id for song in page.songs]
        cursor = page.next_cursor
        if cursor is None:
            break
    known = {"token": accounts.token_for(user).access_token, "ids": ids, "username": USER, "password": PASSWORD}
    asked.ready.write_text(json.dumps(known))


def _refuse(line: int, reason: str) -> None:
    sys.exit(f"the catalogue's line {line}: {reason}")


def _other(asked: argparse.Namespace) -> Any:  # noqa: ANN401 - a WSGI application
    module = importlib.import_module(f"comparisons.{asked.application}")
    return module.application(asked.redis, asked.ready)


if __name__ == "__main__":
    main()
