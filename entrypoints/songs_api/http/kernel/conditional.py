"""Conditional requests (RFC 9110, section 13): If-Match and If-None-Match."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from songs.errors import VersionConflict
from songs_api.http.kernel.http_errors import Malformed, PreconditionRequired
from songs_api.http.kernel.representations import REPRESENTATION_VERSION

IF_MATCH: Final = "If-Match"
IF_NONE_MATCH: Final = "If-None-Match"
REVALIDATED: Final = "private, no-cache"
"""The client may store the response, and has to revalidate it, with its token, before each use."""

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ANY_TAG: Final = re.compile(_TAG)
_TAGS: Final = re.compile(rf"[ \t,]*(?:{_TAG}[ \t]*(?:,[ \t,]*|$))+")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seen:
    """The versions of a song that a client has seen; None if it accepts any version (``*``)."""

    versions: frozenset[int] | None


def required_if_match(environ: Mapping[str, Any], song_id: str) -> Seen:
    """Return what If-Match says of this song. Tags that are weak, or of anything else, match none of its versions.

    Raises:
        PreconditionRequired: There is no If-Match.
        Malformed: It is neither ``*`` nor a list of entity tags.
    """
    header: str | None = environ.get("HTTP_IF_MATCH")
    if header is None:
        raise PreconditionRequired
    if header.strip() == "*":
        return Seen(None)
    tags, prefix = _entity_tags(header), f'"{REPRESENTATION_VERSION}.{song_id}.'
    if tags is None:
        raise _malformed()
    ends = (tag.removeprefix(prefix)[:-1] for tag in tags if tag.startswith(prefix))
    return Seen(frozenset(int(end) for end in ends if _VERSION.fullmatch(end)))


def check_if_match(environ: Mapping[str, Any], tag: str) -> None:
    """See that a read has no If-Match, or one that names `tag`, which is of what is read.

    Raises:
        VersionConflict: It names others.
        Malformed: It cannot be read.
    """
    header: str | None = environ.get("HTTP_IF_MATCH")
    if header is None or header.strip() == "*":
        return
    tags = _entity_tags(header)
    if tags is None:
        raise _malformed()
    if tag not in tags:
        raise VersionConflict


def is_known(environ: Mapping[str, Any], tag: str) -> bool:
    """Return whether If-None-Match names `tag`, weakly compared. One that cannot be read names nothing."""
    header: str | None = environ.get("HTTP_IF_NONE_MATCH")
    if header is None:
        return False
    return header.strip() == "*" or tag in {known.removeprefix("W/") for known in _entity_tags(header) or ()}


def _entity_tags(header: str) -> list[str] | None:
    """Return the tags of a list as they are written; None where it is not such a list."""
    return _ANY_TAG.findall(header) if _TAGS.fullmatch(header) else None


def _malformed() -> Malformed:
    return Malformed(f'{IF_MATCH} must be * or entity tags as an answer\'s ETag has them, such as "x".')
