"""How much of the audit trail anyone can make the service write, and what is told of the rest."""

import io
import json
import logging
from typing import Any

import pytest
from tests.clock import ManualClock

from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import Operation
from songs_api.telemetry.logs import json_line
from songs_api.telemetry.requests import (
    LINES_ALTOGETHER,
    LINES_EACH,
    MAX_ADDRESSES,
    MAX_COUNTED,
    WINDOW_S,
    AuditBudget,
    Finished,
    Kind,
    LeftOut,
)
from songs_api.telemetry.telemetry import Telemetry

SIGN_IN = next(route for route in OPERATIONS if route.operation_id == "sign_in")
ADD_SONG = next(route for route in OPERATIONS if route.operation_id == "add_song")
FLOOD = 10_000


class _Trail:
    """A recorder, and the audit trail that it wrote."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._stream = io.StringIO()
        self.telemetry = Telemetry(json_line, self.clock, level=logging.ERROR, stream=self._stream)

    def note(self, route: Operation | None, status: int, code: str | None, address: str, **who: str | None) -> None:
        """Note a request."""
        user_id, target = who.get("user_id"), who.get("target")
        self.telemetry.requests.note(
            Finished(
                "r",
                "GET",
                route,
                audited=True,
                status=status,
                code=code,
                user_id=user_id,
                address=address,
                target=target,
                trace_id=None,
                started_s=self.clock.now_s,
                ended_s=self.clock.now_s,
            )
        )

    def told(self) -> list[dict[str, Any]]:
        """Return what was written since the last call."""
        self.telemetry.emit()
        lines = self._stream.getvalue().splitlines()
        self._stream.seek(0)
        self._stream.truncate()
        return [json.loads(line) for line in lines]


def test_requests_without_a_token_are_bounded_and_counted() -> None:
    """However many, from however many addresses; the count comes by itself when the window is over, once."""
    trail = _Trail()
    for number in range(FLOOD):
        trail.note(None, 401, "unauthenticated", f"192.0.2.{number % 30}")

    assert len(trail.told()) == LINES_ALTOGETHER
    assert trail.told() == []
    trail.clock.sleep(WINDOW_S)
    (left_out,) = trail.told()
    assert {name: left_out[name] for name in ("event", "left_out", "within_s", "status", "code", "addresses")} == {
        "event": "audit",
        "left_out": FLOOD - LINES_ALTOGETHER,
        "within_s": WINDOW_S,
        "status": 401,
        "code": "unauthenticated",
        "addresses": 30,
    }
    trail.clock.sleep(WINDOW_S)
    assert trail.told() == []


def test_a_flood_hides_no_failed_sign_in_of_a_user() -> None:
    """Nor one of another kind, nor what succeeded, which is written always."""
    trail = _Trail()
    for number in range(FLOOD):
        trail.note(SIGN_IN, 401, "bad_credentials", f"2001:db8::{number:x}")
    trail.told()

    trail.note(SIGN_IN, 401, "bad_credentials", "192.0.2.1", target="u-ada")
    trail.note(None, 401, "invalid_token", "192.0.2.1")
    for _ in range(FLOOD):
        trail.note(ADD_SONG, 201, None, "192.0.2.1", user_id="u-eve", target="s-1")

    told = trail.told()
    assert len(told) == 2 + FLOOD
    assert [(line["code"], line.get("target")) for line in told[:2]] == [
        ("bad_credentials", "u-ada"),
        ("invalid_token", None),
    ]


def test_one_user_fills_no_log_either() -> None:
    """Requests that are refused to somebody who has a token, and sign-ins with a known name, counted by user."""
    trail = _Trail()
    for user in ("u-ada", "u-eve"):
        for _ in range(FLOOD):
            trail.note(ADD_SONG, 403, "forbidden", "192.0.2.1", user_id=user)

    assert len(trail.told()) == 2 * LINES_EACH
    trail.clock.sleep(WINDOW_S)
    assert [(line["user_id"], line["left_out"]) for line in trail.told()] == [
        (user, FLOOD - LINES_EACH) for user in ("u-ada", "u-eve")
    ]


def test_what_was_left_out_is_told_at_the_end() -> None:
    """A service that stops before the window is over says so first."""
    trail = _Trail()
    for _ in range(LINES_ALTOGETHER + 5):
        trail.note(None, 401, "unauthenticated", "192.0.2.1")
    trail.told()

    trail.telemetry.stop()

    (left_out,) = trail.told()
    assert left_out["left_out"] == 5


@pytest.mark.parametrize("status", [204, 401, 422])
def test_nobody_known_is_bounded_whatever_is_answered(status: int) -> None:
    """A public route answers 204 to a token that is none."""
    budget = AuditBudget(0.0)
    admitted = sum(budget.admits(Kind("sign_out", status, None, None), "192.0.2.1") for _ in range(FLOOD))

    assert admitted == LINES_ALTOGETHER


def test_memory_is_bounded_whoever_asks() -> None:
    """Users and addresses beyond what is counted are still counted in number, and no line is lost from the count."""
    budget = AuditBudget(0.0)
    admitted = 0
    for number in range(20 * MAX_COUNTED):
        kind = Kind("sign_in", 401, "bad_credentials", f"u{number % (2 * MAX_COUNTED)}")
        admitted += budget.admits(kind, f"a{number}")

    assert len(budget._counts) <= MAX_COUNTED + 1
    left_out = list(budget.close(0.0))
    assert admitted + sum(each.lines for each in left_out) == 20 * MAX_COUNTED
    assert max(each.addresses for each in left_out) == MAX_ADDRESSES
    assert LeftOut(Kind("sign_in", 401, "bad_credentials", None), left_out[-1].lines, MAX_ADDRESSES) in left_out
