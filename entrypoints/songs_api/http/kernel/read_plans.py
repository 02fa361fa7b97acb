"""Responses, and read plans: the way to answer a GET of the catalogue, which depends on its target alone."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from songs.caching.queries import CachedQuery
from songs_api.http.kernel.conditional import REVALIDATED, check_if_match, is_known
from songs_api.http.kernel.operation import Operation

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
