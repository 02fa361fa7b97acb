"""What is said of a command line that cannot be understood, in the words of these documents and not of a library."""

from typing import Any

import typer
from pydantic import ValidationError

from songs_api.observing.events import printable
from songs_api.settings.wording import listed, message_of


def usage_text(error: typer.TyperException) -> str:
    """Return what is wrong, and the command that shows what is right."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "songs"
    return f"{printable(_what(error))} See: {command} --help"


def _what(error: Any) -> str:  # noqa: ANN401 - typer makes its exceptions public by one of their bases only
    if not isinstance(error.__cause__, ValidationError):
        return str(error.format_message())
    choices = error.param.type_descriptor.choices
    wrong = error.__cause__.errors(include_url=False)[0]
    said = f"must be {listed(map(str, choices))}" if choices else message_of(wrong, None)
    return f"{error.param.get_error_hint().replace(chr(39), '')}: {said}."
