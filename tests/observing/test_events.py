"""Lines of events: one event can never look like two."""

import json
import logging
import sys

import pytest

from songs_api.telemetry.logs import MAX_TEXT, Event, event_of, json_line, printable, renderer, text_line, timestamp

FORGED = 'sign-in\n2026-01-01T00:00:00.000Z [info] audit status=200\x1b[2J\u2028"'


def _record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("driver", logging.WARNING, __file__, 1, message, arguments, info)


def test_json_is_one_line_whatever_the_values_hold() -> None:
    """Line feeds are escaped, and the values come back."""
    event: Event = {"level": "info", "event": FORGED, "target": FORGED}

    line = json_line(event)

    assert "\n" not in line
    assert json.loads(line) == event


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_json_takes_what_it_has_no_form_for(value: object) -> None:
    """Text that is not UTF-8, and huge numbers: a line that cannot be made would end the thread that writes them."""
    assert json.loads(json_line({"event": FORGED, "target": value})) == {"event": FORGED, "target": value}


def test_text_is_one_line_whatever_the_values_hold() -> None:
    """Nothing that is not printable reaches the terminal."""
    line = text_line(colors=False)({"level": "info", "event": FORGED, "target": FORGED})

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "sign-in" in line


def test_a_traceback_follows_indented() -> None:
    """In text a traceback takes lines of its own, none of which begins as a line of the log does."""
    try:
        raise ValueError(FORGED)  # noqa: TRY301 - a traceback is wanted
    except ValueError as error:
        event = event_of(_record("failed", error=error))

    first, *rest = text_line(colors=False)(event).split("\n")

    assert "failed" in first
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_record_is_told_with_its_arguments() -> None:
    """Level, logger, time and the message with its arguments."""
    event = event_of(_record("no answer from %s", "a server"))

    assert (event["level"], event["logger"], event["event"]) == ("warning", "driver", "no answer from a server")
    assert event["timestamp"].endswith("Z")


def test_a_record_whose_arguments_do_not_fit_is_told_all_the_same() -> None:
    """A library's mistake in a message costs no line."""
    assert "no answer from %d" in event_of(_record("no answer from %d", "a server"))["event"]


def test_long_messages_are_cut() -> None:
    """A message of megabytes takes kilobytes."""
    assert len(event_of(_record("x" * (MAX_TEXT + 1)))["event"]) == MAX_TEXT


@pytest.mark.parametrize(
    ("form", "production", "is_json"),
    [("auto", True, True), ("auto", False, False), ("json", False, True), ("text", True, False)],
)
def test_the_form_is_chosen(form: str, production: bool, is_json: bool) -> None:
    """JSON in production unless text is asked for, and the other way round."""
    assert (renderer(form, production=production) is json_line) is is_json


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets no escape sequences."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)

    assert "\x1b" not in renderer("text", production=False)({"level": "info", "event": "started"})


def test_printable_text_stays_as_it_is() -> None:
    """Every script may be read; only what cannot be printed is escaped."""
    assert printable("Beyoncé 君") == "Beyoncé 君"
    assert printable("a\x00b\r") == "a\\x00b\\r"


def test_times_are_utc() -> None:
    """RFC 3339 with milliseconds."""
    assert timestamp(0.25) == "1970-01-01T00:00:00.250Z"
