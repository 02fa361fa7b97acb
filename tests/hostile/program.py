"""Serves as `songs serve` does, with an editor and an admin who have the password given: `program.py PASSWORD`."""

import contextlib
import functools
import sys

from songs.errors import UserExists
from songs.model import Role
from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import application, identity_of, opened
from songs_api.servers.options import ServerOptions, serve_with
from songs_api.settings import Variables, resolve
from songs_plugins.registry import Registry


def add_users(password: str, container: Container) -> None:
    """Add a user of each of the higher roles, named after it; a worker that was started anew finds them there."""
    for role in (Role.EDITOR, Role.ADMIN):
        with contextlib.suppress(UserExists):
            container.accounts().register(role, password, role=role, deadline=Deadline.after(container.clock(), 60.0))


if __name__ == "__main__":
    settings = resolve(Variables.read(), Registry())
    with opened(settings) as prepared:
        found = identity_of(prepared)
    serve_with(
        settings.service.deployment.server,
        ServerOptions.of(settings, port=settings.service.deployment.port),
        functools.partial(application, settings.variables, functools.partial(add_users, sys.argv[1]), identity=found),
    )
