"""The settings: environment variables ``SONGS_*``, the file ``.env``, and files of secrets."""

from songs_api.settings.resolve import Choice, Settings, check_serving, resolve
from songs_api.settings.variables import SettingsError, Source, Variable, Variables, scrub

__all__ = [
    "Choice",
    "Settings",
    "SettingsError",
    "Source",
    "Variable",
    "Variables",
    "check_serving",
    "resolve",
    "scrub",
]
