"""Requests in the log, in the metrics, and in the audit trail, whose lines are bounded."""

import logging
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from songs.ports.clock import Clock
from songs_api.telemetry.logs import Event, LogBuffer, timestamp

if TYPE_CHECKING:
    from songs_api.telemetry.metrics import Metrics

import re

WINDOW_S: Final = 60.0
LINES_EACH: Final = 20
"""Lines of one kind about one user in a window."""
LINES_ALTOGETHER: Final = 60
"""The number of lines of one kind about unknown users in a window."""
MAX_COUNTED: Final = 1_000
"""The number of users of each kind that are distinguished in a window; further users count as unknown."""
MAX_ADDRESSES: Final = 50
"""The number of addresses that are distinguished among the lines left out of one kind and user."""
_ERROR: Final = 400


class Kind(NamedTuple):
    """The kind of an audit line: `who` is the user's id; None for an unknown user."""

    action: str | None
    status: int
    code: str | None
    who: str | None


@dataclass(slots=True)
class _Count:
    lines: int = 0
    left_out: int = 0
    addresses: set[str] = field(default_factory=set)


class LeftOut(NamedTuple):
    """The number of lines of a kind left out, and of addresses among them, counted to `MAX_ADDRESSES`."""

    kind: Kind
    lines: int
    addresses: int


class AuditBudget:
    """Lets through the first lines of each kind in a window, and counts the rest. Not thread-safe.

    Without it anyone could fill the log's disk, without a token: each refused request is a line. Successful actions of
    a user are never left out. Failed sign-ins of a user have a budget of their own.

    Args:
        now_s: The time by the monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._ends_s = now_s + WINDOW_S
        self._counts: dict[Kind, _Count] = {}
        self._users: dict[Kind, int] = {}

    def admits(self, kind: Kind, address: str | None) -> bool:
        """Count a line, and return whether it is to be written."""
        if kind.who is not None and kind.status < _ERROR:
            return True
        count = self._counts.get(kind)
        if count is None:
            kind = self._told_apart(kind)
            count = self._counts.setdefault(kind, _Count())
        if count.lines < (LINES_ALTOGETHER if kind.who is None else LINES_EACH):
            count.lines += 1
            return True
        count.left_out += 1
        if address is not None and len(count.addresses) < MAX_ADDRESSES:
            count.addresses.add(address)
        return False

    def ended(self, now_s: float) -> Iterator[LeftOut]:
        """Yield what was left out if the window is over, and begin the next one."""
        if now_s >= self._ends_s:
            yield from self.close(now_s)

    def close(self, now_s: float) -> Iterator[LeftOut]:
        """Yield what was left out so far, and begin the next window."""
        counts, self._counts, self._users = self._counts, {}, {}
        self._ends_s = now_s + WINDOW_S
        for kind, count in counts.items():
            if count.left_out:
                yield LeftOut(kind, count.left_out, len(count.addresses))

    def _told_apart(self, kind: Kind) -> Kind:
        if kind.who is None:
            return kind
        alike = kind._replace(who=None)
        self._users[alike] = self._users.get(alike, 0) + 1
        return kind if self._users[alike] <= MAX_COUNTED else alike


REFUSALS: Final = frozenset({401, 403, 429})
"""The statuses of refused requests, which are audited."""
MAX_FINISHED: Final = 50_000
"""The maximum number of waiting requests: further ones are dropped and counted."""
NO_ROUTE: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR: Final = 500
_NO_STATUS: Final = 1_000
_MAX_TARGET: Final = 100


class Action(Protocol):
    """The operation of a request.

    Attributes:
        operation_id: Its name.
        template: The template of its path.
        audited: Whether every such request is in the audit trail.
    """

    @property
    def operation_id(self) -> str: ...  # noqa: D102 - above

    @property
    def template(self) -> str: ...  # noqa: D102 - above

    @property
    def audited(self) -> bool: ...  # noqa: D102 - above


class Finished(NamedTuple):
    """An answered request. Times are of the monotonic clock. It holds no header, body or query."""

    request_id: str
    method: str
    action: Action | None
    audited: bool
    status: int
    code: str | None
    user_id: str | None
    address: str | None
    target: str | None
    trace_id: str | None
    started_s: float
    ended_s: float

    @property
    def path(self) -> str:
        """The template of the path; `NO_ROUTE` for a request that was refused before it was routed, or has no route."""
        return self.action.template if self.action else NO_ROUTE

    @property
    def kind(self) -> Kind:
        """The kind of its audit line."""
        action = self.action.operation_id if self.action else None
        # Of a request without a user, what it was about is a user that the service itself named.
        return Kind(action, self.status, self.code, self.user_id or self.target)


class RequestLog:
    """Buffers answered requests, and logs and counts them later. Thread-safe except for `emit`.

    Args:
        lines: Receives its lines.
        metrics: Counts requests; None if metrics are off.
        clock: The clock by which requests are timed.
        level: The minimum level that is logged, of `logging`. The audit trail is always logged.

    Attributes:
        wanted_from: The minimum status of requests that are logged or counted, unless they are audited.
    """

    def __init__(self, lines: LogBuffer, metrics: "Metrics | None", clock: Clock, level: int) -> None:
        self._lines = lines
        self._metrics = metrics
        self._clock = clock
        self._level = level
        self._finished: deque[Finished] = deque()
        self._dropped = 0
        self._budget = AuditBudget(clock.monotonic_s())
        if metrics is not None or level <= logging.INFO:
            self.wanted_from = 0
        else:
            self.wanted_from = _SERVER_ERROR if level <= logging.WARNING else _NO_STATUS

    def note(self, finished: Finished) -> None:
        """Take an answered request."""
        if len(self._finished) < MAX_FINISHED:
            self._finished.append(finished)
        else:
            self._dropped += 1

    def emit(self) -> None:
        """Count what was taken, and hand its lines on."""
        durations: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        now_s = self._clock.monotonic_s()
        # The difference between the monotonic clock and the time of day.
        offset_s = self._clock.now().timestamp() - now_s
        for _ in range(len(self._finished)):
            finished = self._finished.popleft()
            method = finished.method if finished.method in _METHODS else "other"
            durations[method, finished.path, str(finished.status)].append(finished.ended_s - finished.started_s)
            if finished.audited:
                if self._budget.admits(finished.kind, finished.address):
                    self._lines.put(_event(finished, method, "audit", offset_s))
            elif _level(finished.status) >= self._level:
                self._lines.put(_event(finished, method, "request", offset_s))
        for left_out in self._budget.ended(now_s):
            self._lines.put(_left_out(left_out, now_s + offset_s))
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._lines.drop(dropped)
        if self._metrics is not None:
            self._metrics.requests(durations, dropped)

    def close(self) -> None:
        """Tell what was left out of the audit trail until now, at the end."""
        for left_out in self._budget.close(self._clock.monotonic_s()):
            self._lines.put(_left_out(left_out, self._clock.now().timestamp()))


def _level(status: int) -> int:
    return logging.INFO if status < _SERVER_ERROR else logging.WARNING


def _left_out(left_out: LeftOut, at_s: float) -> Event:
    members: dict[str, Any] = {
        "timestamp": timestamp(at_s),
        "level": "info",
        "event": "audit",
        "left_out": left_out.lines,
        "within_s": int(WINDOW_S),
        "action": left_out.kind.action,
        "status": left_out.kind.status,
        "code": left_out.kind.code,
        "user_id": left_out.kind.who,
        "addresses": left_out.addresses,
    }
    return {name: value for name, value in members.items() if value is not None}


def _event(finished: Finished, method: str, event: str, offset_s: float) -> Event:
    members: dict[str, Any] = {
        "timestamp": timestamp(finished.ended_s + offset_s),
        "level": logging.getLevelName(_level(finished.status)).lower(),
        "event": event,
        "action": finished.action.operation_id if finished.action else None,
        "method": method,
        "route": finished.path,
        "status": finished.status,
        "code": finished.code,
        "duration_ms": round(1000 * (finished.ended_s - finished.started_s), 3),
        "request_id": finished.request_id,
        "user_id": finished.user_id,
        "address": finished.address,
        "target": finished.target[:_MAX_TARGET] if finished.target else None,
        "trace_id": finished.trace_id,
    }
    return {name: value for name, value in members.items() if value is not None}


_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_id(traceparent: str) -> str | None:
    """Return the trace that a ``traceparent`` header names, or None where the header is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    # Only later versions of the header have members after the flags.
    if match is None or (match[3] is not None and traceparent.startswith("00")):
        return None
    return match[1]
