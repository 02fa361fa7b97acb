"""Log events and their rendering as lines: JSON for programs, or text for a terminal."""

import contextlib
import json
import logging
import os
import select
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from multiprocessing import util
from select import PIPE_BUF
from typing import Any, Final, TextIO

import orjson

Event = dict[str, Any]
"""`timestamp`, `level`, `event` and further members."""
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
        members = {**event, "event": printable(str(event.get("event", "")))}
        exception: str = members.pop("exception", "")
        first = str(render(None, str(event.get("level", "")), members))
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


EVERY_S: Final = 0.25
MAX_WAITING_BYTES: Final = 16 * 2**20
"""Lines that wait to be written: what comes beyond is dropped and counted."""
STOP_S: Final = 1.5
"""The time to wait at the end for the reader of the lines."""
SAY_S: Final = 1.0
LINE_BYTES: Final = 100
"""The memory that a line takes beside its characters, in bytes."""


def say(line: str) -> None:
    """Write a line to standard error now; if that is stuck, closed or full, drop it.

    Nothing is left in the stream's buffer, which would fail again at the next flush: at a fork, or at exit.
    """
    descriptor = _descriptor(sys.stderr)
    with contextlib.suppress(OSError, ValueError):
        if descriptor is None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        elif select.select([], [descriptor], [], SAY_S)[1]:
            os.write(descriptor, f"{line}\n".encode(errors="backslashreplace"))


class LogBuffer:
    """Takes events at once and writes them later. Thread-safe but for `write`, which one thread calls at a time.

    Lines that cannot be made or written are dropped and counted, and a later line says how many.

    Args:
        render: Renders an event as a line.
        stream: The stream for lines; standard error by default.
    """

    def __init__(self, render: Render, stream: TextIO | None = None) -> None:
        self._render = render
        self._stream = stream
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._cut = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, event: Event) -> None:
        """Take an event."""
        try:
            line = self._render(event)
        except Exception:  # noqa: BLE001 - no content of an event may harm the request that it is about
            self.drop()
            return
        size = len(line) + LINE_BYTES
        with self._lock:
            if self._waiting_bytes + size > MAX_WAITING_BYTES:
                self._dropped += 1
                return
            self._waiting_bytes += size
            self._waiting.append(line)

    def drop(self, count: int = 1) -> None:
        """Count lines that will not be written."""
        with self._lock:
            self._dropped += count

    def write(self) -> None:
        """Write what was taken."""
        with self._writing:
            with self._lock:
                lines, self._waiting = self._waiting, deque()
                dropped, self._dropped = self._dropped, 0
                self._waiting_bytes = 0
            if dropped:
                lines.append(self._render({"level": "error", "event": "log lines were dropped", "dropped": dropped}))
            try:
                self._write_all(lines)
            except (OSError, ValueError):
                # The remaining lines; the last one may be the line with the number of dropped ones.
                self.drop(len(lines) + (dropped - 1 if dropped else 0))

    def start(self) -> None:
        """Write four times a second, in a thread of its own. Called after any fork."""
        self._thread = threading.Thread(target=self._run, daemon=True, name="log writer")
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, unless that takes long, and end the thread. Called again, it does not wait again."""
        wait_s = 0.0 if self._stopped.is_set() else STOP_S
        self._stopped.set()
        if self._thread is None:
            self.write()
        else:
            # The thread writes the rest: this one, at the end of the process, must not hang in it.
            self._thread.join(wait_s)

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stopped.wait(EVERY_S)
            # A stream that raises what no stream should ends no thread.
            with contextlib.suppress(Exception):
                self.write()

    def _write_all(self, lines: deque[str]) -> None:
        """Write lines, and remove those that were written."""
        stream = self._stream if self._stream is not None else sys.stderr
        descriptor = _descriptor(stream)
        while lines:
            count, text = _piece(lines)
            if descriptor is not None:
                self._write_bytes(descriptor, text.encode(errors="backslashreplace"))
            else:
                stream.write(text)
                stream.flush()
            for _ in range(count):
                lines.popleft()

    def _write_bytes(self, descriptor: int, data: bytes) -> None:
        # Not by way of the stream: its lock is held for as long as a write hangs, and the interpreter takes it at its
        # end, as does whatever else is printed.
        rest = memoryview(b"\n" + data if self._cut else data)
        while rest:
            try:
                written = os.write(descriptor, rest)
            except BlockingIOError:  # another process that has this file open made it so
                select.select([], [descriptor], [], EVERY_S)
            else:
                rest = rest[written:]
                # A disk may be full in the middle of a line.
                self._cut = len(rest) > 0


class LinesHandler(logging.Handler):
    """Passes the records of Python's logging to `lines`.

    Args:
        lines: Receives them.
    """

    def __init__(self, lines: LogBuffer) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record."""
        self._lines.put(event_of(record))


class ServerLogHandler(logging.Handler):
    """Writes what a server logs to standard error, from a thread of its own in each process.

    A server logs from the threads that accept connections and answer requests, and from its main process.

    Args:
        form: As for `renderer`.
        production: As for `renderer`.
    """

    def __init__(self, form: str, *, production: bool) -> None:
        super().__init__()
        self._render = renderer(form, production=production)
        self._lines = LogBuffer(self._render)
        self._process: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record. The caller holds the handler's lock, which is new in a forked process."""
        if self._process != os.getpid():
            self._process = os.getpid()
            # The parent of a forked process writes its own remaining lines.
            self._lines = LogBuffer(self._render)
            self._lines.start()
            # The one for processes that multiprocessing forked, which do not run atexit's functions on Python 3.11.
            util.Finalize(None, self._lines.stop, exitpriority=5)
        self._lines.put(event_of(record))

    def flush(self) -> None:
        """Write what is left, unless that takes long: the end of the process, or of this configuration."""
        if self._process == os.getpid():
            self._lines.stop()
            self._process = None


def _piece(lines: deque[str]) -> tuple[int, str]:
    """Return how many lines to write in one step, and their text: as much as a pipe takes of several writers in whole.

    A longer line is a piece of its own.
    """
    size, count = 0, 0
    for line in lines:
        size += len(line.encode(errors="backslashreplace")) + 1
        if count and size > PIPE_BUF:
            break
        count += 1
    return count, "".join(f"{line}\n" for line in islice(lines, count))


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):  # a stream in memory, or one that is closed
        return None
