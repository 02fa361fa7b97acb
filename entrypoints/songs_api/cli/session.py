"""What commands share: settings, an open storage, and the audit trail of their changes."""

import getpass
import os
import sys
import syslog
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from songs.errors import SongsError
from songs.ports.storage import StorageCapabilities
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.bootstrap.user_errors import UserError, warn
from songs_api.servers.processes import discard
from songs_api.settings import Settings, Source, Variables, resolve
from songs_api.settings.service import PREFIX, ServiceSettings
from songs_api.telemetry.logs import Event, json_line, text_line, timestamp
from songs_plugins import Port
from songs_plugins.registry import Registry


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
            f"the storage {settings.service.storage!r} keeps nothing after this command; "
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
    told: dict[str, Any] = dict(about)
    outcome = "done"
    try:
        yield told
    except SongsError as error:
        outcome = error.code
        raise
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        at = timestamp(container.clock().now().timestamp())
        about = {"action": action, "outcome": outcome, "operator": _operator(), **told}
        _write(container.settings().service, {"timestamp": at, "level": "info", "event": "audit", **about})


def _write(service: ServiceSettings, event: Event) -> None:
    as_json = service.log_format == "json" or (service.log_format == "auto" and service.environment == "production")
    line = json_line(event) if as_json else text_line(colors=False)(event)
    if service.audit_log is not None:
        try:
            _append(service.audit_log, line)
        except OSError as error:
            warn(f"SONGS_AUDIT_LOG: {service.audit_log} cannot be written: {error.strerror}; the line is: {line}")
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
