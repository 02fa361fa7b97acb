"""Output of commands: tables, progress bars, and usage errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError

from songs_api.settings.parsing import listed, message_of
from songs_api.telemetry.logs import printable

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar() -> "Progress":
    """Return a bar on standard error, to be used as a context manager; where that is no terminal, it shows nothing."""
    # Imported where a bar is shown: Rich takes long to load.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings; the last column has any width."""
    table = [heads, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def usage_text(error: typer.TyperException) -> str:
    """Return the usage error, and the command that shows the help."""
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
