"""Settings, open storages, the audit trail and the output of commands."""

import getpass
import os
import sys
import syslog
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError

from songs.errors import SongsError
from songs.ports.storage import StorageCapabilities
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.handover import UserError, warn
from songs_api.bootstrap.startup import opened
from songs_api.servers.processes import discard
from songs_api.settings import Settings, Source, Variables, resolve
from songs_api.settings.parsing import listed, message_of
from songs_api.settings.service import PREFIX, ServiceSettings
from songs_api.telemetry.logs import Event, json_line, printable, text_line, timestamp
from songs_plugins import Port
from songs_plugins.registry import Registry

if TYPE_CHECKING:
    from rich.progress import Progress


def load(
    options: Mapping[str, object] | None = None,
    *,
    defaults: Mapping[str, str] | None = None,
    generate_secrets: bool = True,
) -> Settings:
    """Return the settings of the environment and ``.env``, with those options that are not None in their place.

    Args:
        options: The options given to the command.
        defaults: Defaults of the command, in place of the service's own.
        generate_secrets: As for `resolve`.

    Raises:
        SettingsError: They are wrong.
    """
    texts = {PREFIX + name.upper(): None if value is None else str(value) for name, value in (options or {}).items()}
    given = Variables.read().replacing(texts)
    missing = {PREFIX + name.upper(): text for name, text in (defaults or {}).items()}
    missing = {name: text for name, text in missing.items() if name not in given}
    return resolve(given.replacing(missing, Source.DEFAULT), Registry(), generate_secrets=generate_secrets)


@contextmanager
def durable_storage() -> Iterator[Container]:
    """Yield a container with the selected storage open.

    Raises:
        SettingsError: The settings are wrong.
        UserError: The storage cannot be opened, or keeps nothing beyond this command.
    """
    settings = load()
    capabilities = settings.adapters[Port.STORAGE].spec.capabilities
    if isinstance(capabilities, StorageCapabilities) and not capabilities.durable:
        msg = (
            f"the storage {settings.service.adapters.storage!r} keeps nothing after this command; "
            f"set SONGS_STORAGE to one that does (see: songs plugins)"
        )
        raise UserError(msg)
    with opened(settings) as container:
        yield container


@contextmanager
def audited(container: Container, action: str, **about: object) -> Iterator[dict[str, Any]]:
    """Write an audit line about the block, whatever its result, with the members that the block adds to the dictionary.

    `outcome` is ``done``, the code of an error of ours, or the name of another one: part of the change may have been
    made then. The line has the form of the service's log and goes to `SONGS_AUDIT_LOG`. Without that it goes to
    standard error, or to the system's log where standard error is a terminal (the person at it knows already) or
    cannot be written.
    """
    details: dict[str, Any] = dict(about)
    outcome = "done"
    try:
        yield details
    except SongsError as error:
        outcome = error.code
        raise
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        at = timestamp(container.clock().now().timestamp())
        about = {"action": action, "outcome": outcome, "operator": _operator(), **details}
        _write(container.settings().service, {"timestamp": at, "level": "info", "event": "audit", **about})


def _write(service: ServiceSettings, event: Event) -> None:
    form, file = service.telemetry.log_format, service.telemetry.audit_log
    as_json = form == "json" or (form == "auto" and service.deployment.environment == "production")
    line = json_line(event) if as_json else text_line(colors=False)(event)
    if file is not None:
        try:
            _append(file, line)
        except OSError as error:
            warn(f"SONGS_AUDIT_LOG: {file} cannot be written: {error.strerror}; the line is: {line}")
    elif sys.stderr is not None and not sys.stderr.isatty():
        try:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - where the service logs too
        except OSError:
            discard(sys.stderr)
            _to_system(line)
    else:
        _to_system(line)


def _to_system(line: str) -> None:
    syslog.openlog("songs", syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(syslog.LOG_NOTICE, line.replace("\0", ""))


def _append(path: Path, line: str) -> None:
    # In one write, so that lines of several commands do not mix. It may be a pipe, such as a container's log; a command
    # that is done does not wait for its reader.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK, 0o600)
    try:
        os.write(descriptor, line.encode(errors="backslashreplace") + b"\n")
    finally:
        os.close(descriptor)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


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
