"""Lines are written later, in order, and never stop the service."""

import fcntl
import io
import logging
import os
import resource
import select
import threading
from pathlib import Path

import pytest

from songs_api.telemetry import logs as module
from songs_api.telemetry.logs import LinesHandler, LogBuffer
from songs_contract.harness.timing import eventually


def _render(event: dict[str, object]) -> str:
    return str(event["event"]) + (f" {event['dropped']}" if "dropped" in event else "")


class _Broken(io.StringIO):
    """A stream on a full disk, until there is room."""

    works = False

    def write(self, text: str) -> int:
        if self.works:
            return super().write(text)
        raise OSError(28, "No space left on device")


def test_lines_are_written_in_order_and_once() -> None:
    """Nothing is written before `write`, and nothing twice."""
    stream = io.StringIO()
    lines = LogBuffer(_render, stream)
    lines.put({"event": "first"})
    lines.put({"event": "second"})
    assert stream.getvalue() == ""

    lines.write()
    lines.write()

    assert stream.getvalue() == "first\nsecond\n"


def test_what_is_too_much_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded while the stream hangs, and the log says what is missing."""
    stream = io.StringIO()
    lines = LogBuffer(_render, stream)
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 2 * (1 + module.LINE_BYTES))
    for number in range(5):
        lines.put({"event": number})

    lines.write()
    lines.put({"event": "x"})
    lines.write()

    assert stream.getvalue() == "0\n1\nlog lines were dropped 3\nx\n"


@pytest.mark.parametrize("length", [1, 16_000, 1_000_000])
def test_memory_is_bounded_whatever_the_events_hold(length: int) -> None:
    """Long lines count as what they are."""
    lines = LogBuffer(_render, io.StringIO())
    text = "x" * length
    for _ in range(1_000_000):
        lines.put({"event": text})
        if lines._dropped:
            break

    assert sum(map(len, lines._waiting)) <= module.MAX_WAITING_BYTES
    assert lines._dropped


def test_an_event_without_a_form_harms_no_other() -> None:
    """It is counted as dropped."""

    def render(event: dict[str, object]) -> str:
        if event["event"] == "poison":
            raise RecursionError
        return _render(event)

    stream = io.StringIO()
    lines = LogBuffer(render, stream)
    for text in ("one", "poison", "two"):
        lines.put({"event": text})
    lines.write()

    assert stream.getvalue() == "one\ntwo\nlog lines were dropped 1\n"


def test_what_a_broken_stream_lost_is_told_when_it_works() -> None:
    """How many lines, in whole, however often it failed."""
    stream = _Broken()
    lines = LogBuffer(_render, stream)
    for _ in range(3):
        lines.put({"event": "lost"})
        lines.put({"event": "lost"})
        lines.write()

    stream.works = True
    lines.write()
    lines.write()

    assert stream.getvalue() == "log lines were dropped 6\n"


def test_a_line_that_was_cut_is_ended_before_the_next(tmp_path: Path) -> None:
    """A disk is full in the middle of a line: what follows later is not taken for its end."""
    with (tmp_path / "log").open("w") as stream:
        lines = LogBuffer(_render, stream)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))
        try:
            lines.put({"event": "first"})
            lines.put({"event": "second"})
            lines.write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        lines.write()

    assert (tmp_path / "log").read_text().splitlines()[-1] == "log lines were dropped 2"


def test_a_pipe_gets_lines_in_whole() -> None:
    """Several processes write to one: each step is what the system does not divide, a longer line alone excepted."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1_048_576)
    sizes: list[int] = []

    def write(_: int, data: memoryview) -> int:
        sizes.append(len(data))
        return len(data)

    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb"):
        lines = LogBuffer(_render, stream)
        for number in range(1_000):
            lines.put({"event": "ä" * number})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", write)
            lines.write()

    assert sum(sizes) == sum(2 * number + 1 for number in range(1_000))
    assert max(sizes) <= select.PIPE_BUF


@pytest.mark.parametrize("started_before", [False, True])
def test_the_end_waits_for_no_reader(monkeypatch: pytest.MonkeyPatch, started_before: bool) -> None:
    """Whether the stream was stuck before the end, or is only then: the thread is left behind, and others go on."""
    monkeypatch.setattr(module, "STOP_S", 0.05)
    reader, writer = os.pipe()
    stream = os.fdopen(writer, "w")
    lines = LogBuffer(_render, stream)
    monkeypatch.setattr(module, "EVERY_S", 0.01 if started_before else 3600.0)
    lines.start()
    lines.put({"event": "x" * 1_000_000})
    if started_before:
        eventually(lambda: not lines._waiting, within_s=30)

    lines.stop()
    lines.stop()

    assert lines._thread is not None
    assert lines._thread.is_alive()
    received = b""
    while not received.endswith(b"\n"):
        received += os.read(reader, 65_536)
    lines._thread.join(30)
    stream.close()
    os.close(reader)


def test_a_stream_that_others_made_non_blocking(tmp_path: Path) -> None:
    """Lines wait for the reader, and none is lost."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream:
        lines = LogBuffer(_render, stream)
        for number in range(20_000):
            lines.put({"event": f"line {number}"})
        writing = threading.Thread(target=lines.write, daemon=True)
        writing.start()
        received = b""
        while b"line 19999\n" not in received:
            received += os.read(reader, 65_536)
        writing.join(30)
    os.close(reader)

    assert received.decode().splitlines() == [f"line {number}" for number in range(20_000)]


def test_a_stream_that_cannot_be_written_to_stops_nothing() -> None:
    """A full disk under the log is no error of the service."""
    lines = LogBuffer(_render, _Broken())
    lines.put({"event": "lost"})

    lines.write()

    closed = io.StringIO()
    closed.close()
    LogBuffer(_render, closed).write()


def test_records_of_logging_become_lines() -> None:
    """What libraries log is told as well."""
    stream = io.StringIO()
    lines = LogBuffer(_render, stream)

    LinesHandler(lines).handle(logging.LogRecord("driver", logging.ERROR, __file__, 1, "gone", (), None))
    lines.write()

    assert stream.getvalue() == "gone\n"
