"""State that workers get from the main process, and errors that users can fix, reported in one line."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from songs.errors import InvalidInput, SongsError
from songs_api.settings import SettingsError
from songs_api.telemetry.logs import printable, say
from songs_plugins.registry import PluginError

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


REFUSED: Final = 2
"""The exit status when what was asked cannot be done."""


class UserError(Exception):
    """The command cannot be carried out; the message says why, and what to do."""


EXPECTED: Final = (UserError, SettingsError, PluginError, SongsError)


def report(error: Exception) -> None:
    """Print what is wrong on standard error: one line for each problem."""
    problems: Sequence[str] = (str(error),)
    if isinstance(error, SettingsError):
        problems = error.problems
    elif isinstance(error, InvalidInput):
        problems = [f"{wrong.pointer.removeprefix('/')} {wrong.message}" for wrong in error.errors]
    for problem in problems:
        say(f"songs: {printable(' '.join(problem.split()))}")


def warn(line: str) -> None:
    """Print a warning on standard error."""
    say(f"songs: warning: {printable(line)}")
