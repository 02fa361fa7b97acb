"""What a server calls: it answers what was answered before, and hands everything else to Falcon."""

import re
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import falcon

from songs.deadline import Deadline
from songs.model import Role
from songs_api.http.client_address import forwarded_for
from songs_api.http.exchange import ENVIRON_KEY, Exchange
from songs_api.http.failures import Malformed
from songs_api.http.middleware import Middleware
from songs_api.http.readings import Reading
from songs_api.http.request import ApiRequest
from songs_api.http.request_ids import RequestIds
from songs_api.http.response import HEADERS, ApiResponse
from songs_api.parts import Parts

MAX_READINGS: Final = 4_096
MAX_TARGET: Final = 200
"""Characters of a path and query that are remembered."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._~%!$&'()*+;=-]+|\[[0-9A-Za-z:.%~_-]+\])(?::[0-9]{0,5})?", re.ASCII)
_STATUS_LINES: Final = {200: "200 OK", 304: "304 Not Modified"}
_WITHOUT_HOST: Final = frozenset({"HTTP/1", "HTTP/1.0"})

StartResponse = Callable[..., Callable[[bytes], object]]
Target = tuple[str, str]


class Front:
    """The WSGI application.

    A GET of the catalogue is answered from its target alone, by whoever asks: which route it takes, what its query
    means, and what it reads. So these are remembered for the targets that were answered, and the next request for one
    passes the same gate and reads the same storage or cache, but needs no router, no check of its query, and none of
    Falcon's objects. Whatever is refused or fails on this way is handed to Falcon, which answers with the problem.

    Args:
        parts: What the application is made of.
        middleware: That of `app`, which is around answers on this way as well.
        app: Answers everything else.
    """

    def __init__(self, parts: Parts, middleware: Middleware, app: falcon.App[ApiRequest, ApiResponse]) -> None:
        self.app = app
        self._answered = middleware.answered
        self._admit = middleware.gate.admit
        self._clock = parts.clock
        self._deadline_s = parts.options.deadline_s
        self._reads_forwarded = parts.options.forwarded_header == "forwarded"
        self._ids = RequestIds()
        self._readings: dict[Target, Reading] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        started_s = self._clock.monotonic_s()
        exchange = Exchange(self._ids.new(), started_s, Deadline(self._clock, started_s + self._deadline_s))
        if self._reads_forwarded:
            environ["HTTP_X_FORWARDED_FOR"] = forwarded_for(environ.get("HTTP_FORWARDED", ""))
        if not _names_one_host(environ.get("HTTP_HOST", ""), environ.get("SERVER_PROTOCOL")):
            exchange.refusal = Malformed("Send one Host header, with a host and maybe a port.")
            return self._through_falcon(exchange, environ, start_response)
        if environ["REQUEST_METHOD"] != "GET":
            return self._through_falcon(exchange, environ, start_response)
        target = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        reading = self._readings.get(target)
        if reading is None:
            answer = self._through_falcon(exchange, environ, start_response)
            if exchange.reading is not None:
                self._remember(target, exchange.reading)
            return answer
        try:
            self._admit(exchange, environ, reading.read)
            exchange.route = reading.route
            status, own, body = reading.answer(exchange, environ)
        except Exception as error:  # noqa: BLE001 - Falcon knows what answers it
            exchange.refusal = error
            return self._through_falcon(exchange, environ, start_response)
        headers = {**HEADERS, **own} | self._answered(exchange, environ, "GET", status)
        if body is not None:
            headers["content-type"] = falcon.MEDIA_JSON
            headers["content-length"] = str(len(body))
        start_response(_STATUS_LINES[status], list(headers.items()))
        return () if body is None else (body,)

    def _through_falcon(
        self, exchange: Exchange, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[ENVIRON_KEY] = exchange
        return self.app(environ, start_response)

    def _remember(self, target: Target, reading: Reading) -> None:
        if reading.route.needs is not Role.USER or len(target[0]) + len(target[1]) > MAX_TARGET:
            return
        with self._lock:
            while len(self._readings) >= MAX_READINGS:
                # The oldest. The others are read meanwhile without the lock.
                del self._readings[next(iter(self._readings))]
            self._readings[target] = reading


@lru_cache(maxsize=1024)
def _names_one_host(host: str, protocol: str | None) -> bool:
    """Return whether a request names one host, as HTTP/1.1 has to (RFC 9112, 3.2). Servers join two by a comma."""
    return _HOST.fullmatch(host) is not None or (not host and protocol in _WITHOUT_HOST)
