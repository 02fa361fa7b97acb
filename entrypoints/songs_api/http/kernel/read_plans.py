"""Answers: representations with entity tags, conditional requests (RFC 9110, section 13), and read plans."""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from songs.caching.queries import CachedQuery
from songs.errors import VersionConflict
from songs_api.http.kernel.http_errors import Malformed, PreconditionRequired
from songs_api.http.kernel.operation import Operation

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


MAX_PLANS: Final = 4_096
MAX_TARGET: Final = 200
"""Characters of a path and query whose plan is remembered."""

Target = tuple[str, str]
"""A path, decoded once, and a query string as it was sent."""
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Answer(NamedTuple):
    """A response.

    Attributes:
        status: The status.
        body: The body, of JSON unless `headers` say otherwise; None if there is no body.
        headers: Headers in addition to those of every response, with names in lower case.
        about: The id of the song or user that an audited request was about, if its path does not name it.
    """

    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = _NO_HEADERS
    about: str | None = None


def conditional(
    representation: bytes, environ: Mapping[str, Any], finish: Callable[[bytes], tuple[bytes, str]] | None = None
) -> Answer:
    """Return the response with a tagged representation: 304 if the client has it already, else all of it.

    Raises:
        VersionConflict: The request has an If-Match with another tag.
        Malformed: Its If-Match cannot be read.
    """
    line, _, body = representation.partition(b"\n")
    tag = line.decode("ascii")
    check_if_match(environ, tag)
    headers = {"etag": tag, "cache-control": REVALIDATED}
    if is_known(environ, tag):
        return Answer(304, None, headers)
    if finish is not None:
        body, links = finish(body)
        if links:
            headers["link"] = links
    return Answer(200, body, headers)


class ReadPlan(NamedTuple):
    """A reusable, thread-safe plan that answers a GET of one target.

    Attributes:
        query: Reads a tagged representation.
        finish: Makes the body and the Link header (empty for none) from it; None if it is the body.
    """

    query: CachedQuery
    finish: Callable[[bytes], tuple[bytes, str]] | None = None


class ReadPlans:
    """The plans of at most `MAX_PLANS` answered targets, with their operations. Thread-safe."""

    def __init__(self) -> None:
        self._plans: dict[Target, tuple[Operation, ReadPlan]] = {}
        self._lock = threading.Lock()
        self.get: Final = self._plans.get
        """Returns the plan of a target, if it is remembered."""

    def __len__(self) -> int:
        return len(self._plans)

    def remember(self, target: Target, operation: Operation, plan: ReadPlan) -> None:
        """Remember a plan; the oldest makes room for it."""
        if len(target[0]) + len(target[1]) > MAX_TARGET:
            return
        with self._lock:
            while len(self._plans) >= MAX_PLANS:
                # The others are read meanwhile without the lock.
                del self._plans[next(iter(self._plans))]
            self._plans[target] = operation, plan
