"""Options of both servers."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

from songs_api.bootstrap.handover import Load
from songs_api.settings import Settings
from songs_api.settings.service import cores_to_pin
from songs_api.telemetry.logs import ServerLogHandler

HEADER_TIMEOUT_S: Final = 5
KEEP_ALIVE_S: Final = 5
GRACE_S: Final = 30
"""The time that requests may take to end after SIGTERM."""
REQUEST_LINE_BYTES: Final = 8190
HEADER_BYTES: Final = 8190
HEADERS: Final = 100
CONNECTION_BUFFER_BYTES: Final = 32_768


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address, processes, threads, cores and logging of a server."""

    host: str
    port: int
    workers: int
    threads: int
    cores: tuple[int, ...]
    log_level: str
    log_form: str
    production: bool

    @classmethod
    def of(cls, settings: Settings, *, port: int) -> "ServerOptions":
        """Return the options that the settings ask for, with a port that was found free."""
        service = settings.service
        return cls(
            service.host,
            port,
            service.workers,
            service.threads,
            cores_to_pin(service.pin_workers, service.workers),
            log_level=service.log_level,
            log_form=service.log_format,
            production=service.environment == "production",
        )

    @property
    def log_handler(self) -> dict[str, Any]:
        """The handler of the server's own messages, in the form of `logging.config`."""
        return {"()": ServerLogHandler, "form": self.log_form, "production": self.production}


class Serve(Protocol):
    """Runs a server until SIGTERM or SIGINT, and ends the process with status 1 when a worker cannot live."""

    def __call__(self, options: ServerOptions, load: Load) -> None:
        """Serve."""
        ...


_MODULES: Final = {"granian": "songs_api.servers.granian", "gunicorn": "songs_api.servers.gunicorn_server"}


def serve_with(server: str, options: ServerOptions, load: Load) -> None:
    """Serve with the server that the settings name, until SIGTERM or SIGINT."""
    # The other one is not imported: every start would pay for it.
    serve = cast("Serve", import_module(_MODULES[server]).serve)
    serve(options, load)
