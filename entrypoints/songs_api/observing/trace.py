"""Incoming trace context (W3C Trace Context, level 1)."""

import re
from typing import Final

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_id(traceparent: str) -> str | None:
    """Return the trace that a ``traceparent`` header names, or None where the header is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    # What follows the flags is for later versions of the header only.
    if match is None or (match[3] is not None and traceparent.startswith("00")):
        return None
    return match[1]
