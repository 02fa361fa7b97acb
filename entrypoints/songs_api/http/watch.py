"""Telling of every request, refused ones included."""

from collections.abc import Mapping, Sequence
from typing import Any

from songs.ports.clock import Clock
from songs_api.http.client_address import Network, client_address
from songs_api.http.exchange import Exchange
from songs_api.observing.recorder import Recorder
from songs_api.observing.requests import Finished, is_audited
from songs_api.observing.trace import trace_id


class Watch:
    """Notes requests that were answered. What it notes is told later, by another thread.

    Args:
        recorder: Tells.
        clock: Says how long requests take.
        trusted: Networks of proxies whose X-Forwarded-For is believed.
    """

    def __init__(self, recorder: Recorder, clock: Clock, trusted: Sequence[Network]) -> None:
        self._log = recorder.requests
        self._clock = clock
        self._trusted = trusted

    def note(self, exchange: Exchange, environ: Mapping[str, Any], method: str, status: int) -> None:
        """Note what became of a request."""
        route = exchange.route
        audited = is_audited(status, route)
        if not audited and status < self._log.wanted_from:
            return
        ended_s = self._clock.monotonic_s()
        traceparent = environ.get("HTTP_TRACEPARENT")
        self._log.note(
            Finished(
                exchange.request_id,
                method,
                route,
                status,
                exchange.problem_code,
                exchange.principal.user_id if exchange.principal else None,
                self._address(environ) if audited else None,
                exchange.target,
                trace_id(traceparent) if traceparent else None,
                exchange.started_s,
                ended_s,
            )
        )

    def _address(self, environ: Mapping[str, Any]) -> str:
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
        return str(client_address(environ.get("REMOTE_ADDR", ""), forwarded_for, self._trusted) or "unknown")
