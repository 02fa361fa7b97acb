"""Reads of the catalogue: what they answer, and how the same target is answered again."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from songs.services.reads import CachedRead
from songs_api.http.conditions import REVALIDATED, check_if_match, is_known
from songs_api.http.exchange import Exchange
from songs_api.http.request import ApiRequest
from songs_api.http.response import ApiResponse
from songs_api.http.routes import Route


class Answer(NamedTuple):
    """What is sent; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes | None


def conditional(
    tagged: bytes, environ: Mapping[str, Any], finish: Callable[[bytes], tuple[bytes, str]] | None = None
) -> Answer:
    """Return the answer with what `rendering.tagged` made: that the client has it already (304), or all of it.

    Raises:
        VersionConflict: The request has an If-Match, and this is not what it names.
        Malformed: Its If-Match cannot be read.
    """
    line, _, body = tagged.partition(b"\n")
    tag = line.decode("ascii")
    check_if_match(environ, tag)
    headers = {"etag": tag, "cache-control": REVALIDATED}
    if is_known(environ, tag):
        return Answer(304, headers, None)
    if finish is not None:
        body, links = finish(body)
        if links:
            headers["link"] = links
    return Answer(200, headers, body)


class Reading(NamedTuple):
    """What a GET of one target reads, which depends on nothing but the target.

    Attributes:
        route: What it is a GET of.
        read: Reads what `rendering.tagged` made.
        finish: Makes the body of that, and the Link header, empty for none; None: it is the body.
    """

    route: Route
    read: CachedRead
    finish: Callable[[bytes], tuple[bytes, str]] | None = None

    def answer(self, exchange: Exchange, environ: Mapping[str, Any]) -> Answer:
        """Read, and return the answer: that the client has it already (304), or what it is now.

        Raises:
            VersionConflict: The request has an If-Match, and this is not what it names.
            Malformed: Its If-Match cannot be read.
            SongsError: What the read raises.
        """
        return conditional(self.read(exchange.deadline, exchange.ahead), environ, self.finish)


def send(
    req: ApiRequest,
    resp: ApiResponse,
    read: CachedRead,
    finish: Callable[[bytes], tuple[bytes, str]] | None = None,
) -> None:
    """Answer with what is read, `finish`ed as `Reading` says, and let it be known how."""
    assert req.exchange.route is not None  # noqa: S101 - for the type checker
    reading = Reading(req.exchange.route, read, finish)
    resp.status, headers, resp.data = reading.answer(req.exchange, req.env)
    resp.put(headers)
    req.exchange.reading = reading


def send_at_once(req: ApiRequest, resp: ApiResponse, tagged: bytes) -> None:
    """Answer with what `rendering.tagged` made without reading anything."""
    resp.status, headers, resp.data = conditional(tagged, req.env)
    resp.put(headers)
