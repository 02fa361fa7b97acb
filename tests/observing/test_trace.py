"""Trace context of other services is told only where it is valid."""

import pytest

from songs_api.telemetry.requests import trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize("header", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-01-more"])
def test_a_valid_header_names_its_trace(header: str) -> None:
    """Also of a later version, which may have more parts."""
    assert trace_id(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\nforged",
        f"00-{TRACE[1:]}-{SPAN}-01",
    ],
)
def test_any_other_header_is_ignored(header: str) -> None:
    """Zero ids, other letters, missing and additional parts."""
    assert trace_id(header) is None
