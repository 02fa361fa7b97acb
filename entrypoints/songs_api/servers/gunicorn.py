"""A configuration module for gunicorn: ``gunicorn -c python:songs_api.servers.gunicorn songs_api.wsgi:app``.

Importing it reads the environment, and ends the process with status 2 if the settings are wrong. Options on
gunicorn's own command line override those here.
"""

import atexit
import contextlib
import os
import sys
from typing import Any

from songs_api.bootstrap.handover import EXPECTED, REFUSED, STORAGE_IDENTITY, report, warn
from songs_api.servers.gunicorn_server import gunicorn_options
from songs_api.servers.options import ServerOptions, metrics_folder, window_table
from songs_api.servers.processes import open_standard_streams
from songs_api.settings import Settings, Variables, check_serving, resolve
from songs_plugins.registry import Registry


def _settings() -> Settings:
    try:
        return resolve(Variables.read(), Registry())
    except EXPECTED as error:
        report(error)
        sys.exit(REFUSED)


open_standard_streams()
_found = _settings()
_kept = contextlib.ExitStack()
_kept.enter_context(metrics_folder(_found))
atexit.register(_kept.close)


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's hook
    """Refuse what cannot keep its promises, before any worker starts."""
    from songs_api.bootstrap.startup import identity_of, opened  # noqa: PLC0415 - the rest of the program is loaded by the workers

    try:
        for line in check_serving(_found, workers=server.cfg.workers, server="gunicorn"):
            warn(line)
        with opened(_found) as container:
            identity = identity_of(container)
    except EXPECTED as error:
        report(error)
        sys.exit(REFUSED)
    _kept.enter_context(window_table(_found, server.cfg.workers))
    if identity is not None:
        os.environ[STORAGE_IDENTITY] = identity


globals().update(gunicorn_options(ServerOptions.of(_found, port=_found.service.deployment.port)))
