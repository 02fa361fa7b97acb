"""State handed from the main process to its workers, by environment variables or when it forks them."""

from collections.abc import Callable
from typing import Any, Final

METRICS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the folder where several processes keep metrics, as the Prometheus client has it."""
WINDOW_TABLE: Final = "SONGSAPI_WINDOW_TABLE"
"""The variable by which workers learn where the main process keeps what all of them remember of rate limits."""
STORAGE_IDENTITY: Final = "SONGSAPI_STORAGE_IDENTITY"
"""The variable by which workers of a gunicorn that was started by itself learn which data are the service's."""

Application = Callable[..., Any]
"""A WSGI application."""
Load = Callable[[], Application]
"""Makes the application, in a worker; can be pickled, since some workers are not forked but spawned."""
