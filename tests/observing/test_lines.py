"""Lines are written later, in order, and never stop the service."""

import io
import logging

import pytest

from songs_api.observing import lines as module
from songs_api.observing.lines import Lines, LinesHandler


def _render(event: dict[str, object]) -> str:
    return str(event["event"]) + (f" {event['dropped']}" if "dropped" in event else "")


class _Broken(io.StringIO):
    """A stream on a full disk."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


def test_lines_are_written_in_order_and_once() -> None:
    """Nothing is written before `write`, and nothing twice."""
    stream = io.StringIO()
    lines = Lines(_render, stream)
    lines.put({"event": "first"})
    lines.put({"event": "second"})
    assert stream.getvalue() == ""

    lines.write()
    lines.write()

    assert stream.getvalue() == "first\nsecond\n"


def test_what_is_too_much_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded while the stream hangs, and the log says what is missing."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    stream = io.StringIO()
    lines = Lines(_render, stream)
    for number in range(5):
        lines.put({"event": number})

    lines.write()
    lines.put({"event": "again"})
    lines.write()

    assert stream.getvalue() == "0\n1\nlog lines were dropped 3\nagain\n"


def test_a_stream_that_cannot_be_written_to_stops_nothing() -> None:
    """A full disk under the log is no error of the service."""
    lines = Lines(_render, _Broken())
    lines.put({"event": "lost"})

    lines.write()

    closed = io.StringIO()
    closed.close()
    Lines(_render, closed).write()


def test_records_of_logging_become_lines() -> None:
    """What libraries log is told as well."""
    stream = io.StringIO()
    lines = Lines(_render, stream)

    LinesHandler(lines).handle(logging.LogRecord("driver", logging.ERROR, __file__, 1, "gone", (), None))
    lines.write()

    assert stream.getvalue() == "gone\n"
