"""Sends requests from many connections at once, and notes whatever an answer should not be."""

import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from .requests import Requests

SENDERS: Final = 12
UNFINISHED_S: Final = 0.15
"""Without an answer for so long, a request is taken for an unfinished one, and its sender goes away."""
HANG_S: Final = 30.0
HEALTH_PAUSE_S: Final = 0.1
MAX_ANSWER: Final = 1_000_000

# 501 and 505 are the servers' own: a coding or a version of HTTP that they do not know.
NEVER: Final = frozenset(range(500, 600)) - {501, 503, 505}
HEALTH: Final = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Report:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    health_checks: int = 0
    slowest_health_s: float = 0.0

    def add(self, other: "Report") -> None:
        """Take up what another one noted."""
        self.statuses += other.statuses
        self.wrong += other.wrong
        self.health_checks += other.health_checks
        self.slowest_health_s = max(self.slowest_health_s, other.slowest_health_s)


def attack(port: int, requests: list[Requests], count: int) -> Report:
    """Send `count` requests over as many senders as there are makers of requests; return what came back."""
    reports = [Report() for _ in requests]
    threads = [
        threading.Thread(target=_send_all, args=(port, maker, count // len(requests), report))
        for maker, report in zip(requests, reports, strict=True)
    ]
    total, done = Report(), threading.Event()
    watcher = threading.Thread(target=_watch_health, args=(port, done, total))
    for thread in [*threads, watcher]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    watcher.join()
    for report in reports:
        total.add(report)
    return total


def _send_all(port: int, requests: Requests, count: int, report: Report) -> None:
    for _ in range(count):
        request = requests.next()
        answer = exchange(port, request)
        report.statuses[_status(answer) if answer else "closed"] += 1
        if problem := problem_of(answer) or ("repeats the token" if requests.token.encode() in answer else ""):
            report.wrong.append(f"{problem}: {request[:2_000]!r} -> {answer[:500]!r}")


def _watch_health(port: int, done: threading.Event, report: Report) -> None:
    while not done.wait(HEALTH_PAUSE_S):
        begun_s = time.monotonic()
        answer = exchange(port, HEALTH, unfinished_s=HANG_S)
        report.health_checks += 1
        report.slowest_health_s = max(report.slowest_health_s, time.monotonic() - begun_s)
        if not answer.startswith(b"HTTP/1.1 200"):
            report.wrong.append(f"health: {answer[:500]!r}")


def exchange(port: int, request: bytes, *, unfinished_s: float = UNFINISHED_S) -> bytes:
    """Send bytes and return what came back of one answer; ``HANG`` when the server neither answers nor closes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as connection:
            return _conversation(connection, request, unfinished_s)
    except TimeoutError:
        return b"HANG"


def _conversation(connection: socket.socket, request: bytes, unfinished_s: float) -> bytes:
    received = b""
    # A server may close whenever it likes; then there is what was received until then.
    with suppress(ConnectionError):
        connection.sendall(request)
        connection.settimeout(unfinished_s)
        while not _is_whole(received, request) and len(received) < MAX_ANSWER:
            try:
                part = connection.recv(65_536)
            except TimeoutError:
                if connection.gettimeout() == HANG_S:
                    raise
                connection.settimeout(HANG_S)
                with suppress(OSError):  # lost meanwhile: the next receipt says so
                    connection.shutdown(socket.SHUT_WR)
                continue
            if not part:
                break
            received += part
    return received


def _is_whole(received: bytes, request: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end or head.startswith(b"HTTP/1.1 100"):
        return False
    if request.startswith(b"HEAD ") or head[9:12] in {b"204", b"304"}:
        return True
    _, named, value = head.lower().partition(b"\r\ncontent-length:")
    return bool(named) and len(body) >= int(value.split(b"\r\n")[0])


def _status(answer: bytes) -> str:
    return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else repr(answer[:12])


def problem_of(answer: bytes) -> str:
    """Return what is wrong with an answer; nothing where it is one that may be, or none at all."""
    if answer == b"HANG":
        return "hangs"
    status = _status(answer)
    if answer and not status.isdigit():
        return "not HTTP"
    if answer and int(status) in NEVER:
        return f"status {status}"
    head = answer.partition(b"\r\n\r\n")[0].lower()
    ours = b"\r\nx-request-id:" in head and status >= "400"
    if ours and b"\r\ncontent-type: application/problem+json" not in head:
        return "not a problem"
    return ""
