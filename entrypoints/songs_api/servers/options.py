"""What both servers are told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from songs_api.observing.lines import ServerLogHandler
from songs_api.settings import Settings
from songs_api.settings.processes import cores_to_pin

HEADER_TIMEOUT_S: Final = 5
KEEP_ALIVE_S: Final = 5
GRACE_S: Final = 30
"""How long requests may take to end after SIGTERM."""
REQUEST_LINE_BYTES: Final = 8190
HEADER_BYTES: Final = 8190
HEADERS: Final = 100
METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder where several processes keep metrics, as the Prometheus client has it."""
WINDOW_TABLE: Final = "SONGSAPI_WINDOW_TABLE"
"""The variable by which workers learn where the main process keeps what all of them remember of rate limits."""
STORAGE_IDENTITY: Final = "SONGSAPI_STORAGE_IDENTITY"
"""The variable by which workers of a gunicorn that was started by itself learn which data are the service's."""
CONNECTION_BUFFER_BYTES: Final = 32_768

Application = Callable[..., Any]
"""A WSGI application."""
Load = Callable[[], Application]
"""Makes the application, in a worker; can be pickled, since some workers are not forked but spawned."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where to listen, with how many processes and threads, to which cores these are bound, and what to log."""

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
        """What takes the server's own messages, in the form of `logging.config`."""
        return {"()": ServerLogHandler, "form": self.log_form, "production": self.production}


class Serve(Protocol):
    """Runs a server until SIGTERM or SIGINT, and ends the process with status 1 when a worker cannot live."""

    def __call__(self, options: ServerOptions, load: Load) -> None:
        """Serve."""
        ...
