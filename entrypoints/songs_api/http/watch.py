"""Telling of every request, refused ones included."""

from collections.abc import Sequence

import falcon

from songs.ports.clock import Clock
from songs_api.http.client_address import Network, client_address
from songs_api.http.request import ApiRequest
from songs_api.observing.recorder import Recorder
from songs_api.observing.requests import Finished, is_audited
from songs_api.observing.trace import trace_id


class Watch:
    """Middleware, the outermost: what it notes of a request is told later, by another thread.

    Args:
        recorder: Tells.
        clock: Says how long requests take.
        trusted: Networks of proxies whose X-Forwarded-For is believed.
    """

    def __init__(self, recorder: Recorder, clock: Clock, trusted: Sequence[Network]) -> None:
        self._log = recorder.requests
        self._clock = clock
        self._trusted = trusted

    def process_request(self, req: ApiRequest, _: falcon.Response) -> None:
        """Note when the request came."""
        req.started_s = self._clock.monotonic_s()

    def process_response(self, req: ApiRequest, resp: falcon.Response, *_: object) -> None:
        """Note what became of it."""
        status, route = resp.status_code, req.route
        audited = is_audited(status, route)
        if not audited and status < self._log.wanted_from:
            return
        ended_s = self._clock.monotonic_s()
        traceparent = req.env.get("HTTP_TRACEPARENT")
        self._log.note(
            Finished(
                req.request_id,
                req.method,
                route,
                status,
                req.problem_code,
                req.principal.user_id if req.principal else None,
                self._address(req) if audited else None,
                req.target,
                trace_id(traceparent) if traceparent else None,
                req.started_s,
                ended_s,
            )
        )

    def _address(self, req: ApiRequest) -> str:
        forwarded_for = req.env.get("HTTP_X_FORWARDED_FOR", "")
        return str(client_address(req.env.get("REMOTE_ADDR", ""), forwarded_for, self._trusted) or "unknown")
