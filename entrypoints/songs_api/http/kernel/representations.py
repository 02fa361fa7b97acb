"""Representations: the bytes of a response, with their entity tag."""

import hashlib
from typing import Final

import orjson

REPRESENTATION_VERSION: Final = "http-2"
"""Names what representations look like, in entity tags and cache keys. Increase the number with every change."""

_TAG_DIGITS: Final = 32

encode = orjson.dumps


def decimal(milli: int | None) -> float | None:
    """Return thousandths as the number with at most 3 decimals that they are."""
    # Division is correctly rounded, so the shortest form of the result has the 3 decimals that were meant.
    return None if milli is None else milli / 1000


def tagged(tag: str, body: bytes) -> bytes:
    """Return a representation as it is kept: a line with its strong entity tag, which is ASCII, and its bytes."""
    return tag.encode("ascii") + b"\n" + body


def tagged_by_content(body: bytes) -> bytes:
    """Return a representation whose tag is a hash of it."""
    return tagged(f'"{REPRESENTATION_VERSION}.{hashlib.sha256(body).hexdigest()[:_TAG_DIGITS]}"', body)
