"""gunicorn, started by `songs serve`."""

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]

from songs_api.refusals import EXPECTED
from songs_api.servers.gunicorn_options import gunicorn_options
from songs_api.servers.options import Application, Load, ServerOptions


class _Gunicorn(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, options: ServerOptions, load: Load) -> None:
        self._options = options
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_options(self._options).items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        try:
            return self._load()
        except EXPECTED as error:
            # Printed in one line, and no other worker is started to fail in the same way.
            raise AppImportError(f"songs: {error}") from error


def serve(options: ServerOptions, load: Load) -> None:
    """Serve until SIGTERM or SIGINT; requests that were begun are answered before this returns.

    Raises:
        SystemExit: Always, at the end: gunicorn leaves this way.
    """
    _Gunicorn(options, load).run()
