"""Errors that users can fix: reported in one line, without a traceback."""

from collections.abc import Sequence
from typing import Final

from songs.errors import InvalidInput, SongsError
from songs_api.settings import SettingsError
from songs_api.telemetry.logs import printable, say
from songs_plugins.registry import PluginError

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
