"""Events, and how a line is made of one: JSON for programs, or text for a terminal."""

import json
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

Event = dict[str, Any]
"""`timestamp`, `level` and `event`, and whatever else is known of it."""
Render = Callable[[Event], str]

MAX_TEXT: Final = 16_384
"""Characters of a message or a traceback: what is longer is cut."""


def timestamp(seconds: float) -> str:
    """Return a time of day, given in seconds since 1970, as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_of(record: logging.LogRecord) -> Event:
    """Return the event that a record of Python's logging is."""
    event: Event = {
        "timestamp": timestamp(record.created),
        "level": record.levelname.lower(),
        "event": _message(record)[:MAX_TEXT],
        "logger": record.name,
    }
    if record.exc_info and record.exc_info[0] is not None:
        # Without the values of variables, among which there may be passwords.
        event["exception"] = "".join(traceback.format_exception(*record.exc_info))[-MAX_TEXT:]
    return event


def json_line(event: Event) -> str:
    """Return one line of JSON."""
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, as in a file name that is not UTF-8, or an integer beyond 64 bits
        return json.dumps(event, default=str, skipkeys=True)


def text_line(*, colors: bool) -> Render:
    """Return a function that makes one line for people to read; a traceback follows on lines that are indented."""
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415 - takes long to load, and JSON needs none of it

    # The representation of a text has no line feeds and no control characters, which could forge lines or drive a
    # terminal.
    render = ConsoleRenderer(colors=colors, repr_native_str=True, pad_event_to=28, sort_keys=False)

    def line(event: Event) -> str:
        told = {**event, "event": printable(str(event.get("event", "")))}
        exception: str = told.pop("exception", "")
        first = str(render(None, str(event.get("level", "")), told))
        return "\n".join([first, *(f"    {printable(each)}" for each in exception.splitlines())])

    return line


def printable(text: str) -> str:
    """Return `text` with every character that is not printable written as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def renderer(form: str, *, production: bool) -> Render:
    """Return what makes lines: `form` is ``json``, ``text`` or ``auto``, which is JSON in production."""
    if form == "json" or (form == "auto" and production):
        return json_line
    return text_line(colors=sys.stderr.isatty())


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:  # a library's arguments do not fit its message
        return f"{record.msg} (cannot be formatted: {error})"
