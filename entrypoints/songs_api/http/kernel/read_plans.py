"""Representations with entity tags, conditional requests (RFC 9110, section 13), read plans and the fast path."""

import hashlib
import random
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import falcon
import orjson

from songs.caching.queries import CachedQuery
from songs.errors import VersionConflict
from songs.ports.clock import Deadline
from songs_api.http.kernel.operation import CONTEXT_KEY, HEADERS, ApiRequest, ApiResponse, Operation, RequestContext
from songs_api.http.kernel.pipeline import Middleware
from songs_api.http.kernel.rate_limits import forwarded_for
from songs_api.http.kernel.validation import Malformed, PreconditionRequired
from songs_api.http.services import AppServices

REPRESENTATION_VERSION: Final = "http-2"
"""Names what representations look like, in entity tags and cache keys. Increase the number with every change."""

_TAG_DIGITS: Final = 32

encode = orjson.dumps


def decimal(milli: int | None) -> float | None:
    """Return thousandths as a number with at most 3 decimals."""
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
    """Check that If-Match, if present, names `tag`, the tag of the representation read.

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


_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Za-z:.%~_-]+\])(?::[0-9]{0,5})?", re.ASCII)
_STATUS_LINES: Final = {200: "200 OK", 304: "304 Not Modified"}
_WITHOUT_HOST: Final = frozenset({"HTTP/1", "HTTP/1.0"})

StartResponse = Callable[..., Callable[[bytes], object]]


class FastPath:
    """The WSGI application.

    A GET of the catalogue is answered by a read plan, which depends on its target alone. Plans of answered targets are
    remembered: the next request for one is authenticated and counted like any other, and reads the same storage or
    cache, but needs no router, no check of its query, and none of Falcon's objects. Requests that are refused or fail
    on this path are passed on to Falcon, which answers with the problem.

    Args:
        services: The services of the application.
        middleware: The middleware of `app`, which surrounds responses on this path as well.
        plans: The remembered plans.
        app: Answers all other requests.
    """

    def __init__(
        self,
        services: AppServices,
        middleware: Middleware,
        plans: ReadPlans,
        app: falcon.App[ApiRequest, ApiResponse],
    ) -> None:
        self.app = app
        self._answered = middleware.answered
        self._authenticate = middleware.gate.authenticate
        self._plan_of = plans.get
        self._clock = services.clock
        self._deadline_s = services.settings.http.deadline_s
        self._reads_forwarded = services.settings.http.forwarded_header == "forwarded"
        self._ids = RequestIds()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        started_s = self._clock.monotonic_s()
        deadline = Deadline(self._clock, started_s + self._deadline_s)
        context = RequestContext(environ, self._ids.new(), started_s, deadline)
        if self._reads_forwarded:
            environ["HTTP_X_FORWARDED_FOR"] = forwarded_for(environ.get("HTTP_FORWARDED", ""))
        if not _names_one_host(environ.get("HTTP_HOST", ""), environ.get("SERVER_PROTOCOL")):
            context.refusal = Malformed("Send one Host header, with a host and maybe a port.")
            return self._through_falcon(context, environ, start_response)
        if environ["REQUEST_METHOD"] != "GET":
            return self._through_falcon(context, environ, start_response)
        known = self._plan_of((environ["PATH_INFO"], environ.get("QUERY_STRING", "")))
        if known is None:
            return self._through_falcon(context, environ, start_response)
        operation, plan = known
        try:
            self._authenticate(context, plan.query)
            context.operation = operation
            representation = plan.query(deadline, context.prefetched)
            status, body, own, _ = conditional(representation, environ, plan.finish)
        except Exception as error:  # noqa: BLE001 - Falcon knows what answers it
            context.refusal = error
            return self._through_falcon(context, environ, start_response)
        headers = {**HEADERS, **own} | self._answered(context, "GET", status)
        if body is not None:
            headers["content-type"] = falcon.MEDIA_JSON
            headers["content-length"] = str(len(body))
        start_response(_STATUS_LINES[status], list(headers.items()))
        return () if body is None else (body,)

    def _through_falcon(
        self, context: RequestContext, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[CONTEXT_KEY] = context
        try:
            return self.app(environ, start_response)
        finally:
            # The context has the environment: each would keep the other from being freed at once.
            del environ[CONTEXT_KEY]


@lru_cache(maxsize=1024)
def _names_one_host(host: str, protocol: str | None) -> bool:
    """Return whether a request names one host, as HTTP/1.1 has to (RFC 9112, 3.2). Servers join two by a comma."""
    return _HOST.fullmatch(host) is not None or (not host and protocol in _WITHOUT_HOST)


_SEED_BITS: Final = 256
_BITS: Final = 64


class RequestIds:
    """Makes ids of 32 hexadecimal digits: 16 of this process, and 16 of the request. Thread-safe.

    They need to be distinct and nothing more, and cost a tenth of ids in the order of time. They are random, not
    counted, so that they do not reveal the number of requests. Made after the fork.
    """

    def __init__(self) -> None:
        self._process = secrets.token_hex(8)
        self._bits = random.Random(secrets.randbits(_SEED_BITS)).getrandbits  # noqa: S311 - names, not secrets

    def new(self) -> str:
        """Return the next id."""
        return f"{self._process}{self._bits(_BITS):016x}"
