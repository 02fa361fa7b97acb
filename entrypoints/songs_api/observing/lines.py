"""Writing lines off the threads that answer requests."""

import contextlib
import logging
from collections import deque
from typing import Final, TextIO

from songs_api.observing.events import Event, Render, event_of

MAX_WAITING: Final = 100_000
"""Events that wait to be written: what comes beyond is dropped and counted."""


class Lines:
    """Takes events at once and writes them later. Thread-safe but for `write`, which one thread calls at a time.

    Args:
        render: Makes a line of an event.
        stream: Where lines go.
    """

    def __init__(self, render: Render, stream: TextIO) -> None:
        self._render = render
        self._stream = stream
        self._waiting: deque[Event] = deque()
        self._dropped = 0

    def put(self, event: Event) -> None:
        """Take an event."""
        if len(self._waiting) >= MAX_WAITING:
            self._dropped += 1
            return
        self._waiting.append(event)

    def write(self) -> None:
        """Write what was taken. A stream that cannot be written to loses lines and stops nothing."""
        lines = [self._render(self._waiting.popleft()) for _ in range(len(self._waiting))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(self._render({"level": "error", "event": "log lines were dropped", "dropped": dropped}))
        if lines:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


class LinesHandler(logging.Handler):
    """Hands the records of Python's logging to `lines`.

    Args:
        lines: Takes them.
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Take the record."""
        self._lines.put(event_of(record))
