"""What is told of requests: lines, the audit trail, and metrics."""

import io
import json
from typing import Any

import pytest
from falcon import testing
from pydantic import SecretStr

from songs.ports.limiter import RateLimit
from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import PREFIX, Operation
from songs_api.settings.service import ServiceSettings, TelemetrySettings
from songs_api.telemetry.metrics import Metrics
from songs_api.telemetry.requests import LINES_ALTOGETHER, WINDOW_S

from .conftest import PASSWORD, Build, Service, limited, limits

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TOKEN = b"a-token-for-those-who-watch"
METERED = ServiceSettings(limits=limits(), telemetry=TelemetrySettings(metrics_token=SecretStr(TOKEN.decode())))
NEW_SONG = {"artist": "Trad.", "title": "Scarborough Fair", "difficulty": 3, "level": 2, "released": "1670-01-01"}


class Watched:
    """A service and what it told."""

    def __init__(
        self, build: Build, settings: ServiceSettings | None = None, *, metrics: Metrics | None = None
    ) -> None:
        self.stream = io.StringIO()
        self.service: Service = build(settings, log=self.stream, metrics=metrics)
        self.client: testing.TestClient = self.service.client

    def told(self) -> list[dict[str, Any]]:
        """Return the events that were told since the last call."""
        self.service.services.telemetry.emit()
        lines = self.stream.getvalue().splitlines()
        self.stream.truncate(0)
        self.stream.seek(0)
        return [json.loads(line) for line in lines]


def test_a_request_is_told_with_its_route_and_not_its_values(build: Build) -> None:
    """Id, user, template, status, time and trace; neither the path as it was sent nor the query."""
    watched = Watched(build)
    user = watched.service.join("ursula")
    headers = {**user, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}

    answer = watched.client.simulate_get(f"{PREFIX}/songs/search", headers=headers, params={"message": "hidden"})

    (event,) = watched.told()
    assert event == {
        "timestamp": event["timestamp"],
        "level": "info",
        "event": "request",
        "action": "search_songs",
        "method": "GET",
        "route": f"{PREFIX}/songs/search",
        "status": 200,
        "duration_ms": 0.0,
        "request_id": answer.headers["x-request-id"],
        "user_id": event["user_id"],
        "trace_id": TRACE,
    }


def test_refused_requests_are_audited(build: Build) -> None:
    """401, 403 and 429, each with its code and address, whatever was asked for."""
    watched = Watched(build, limited(default=RateLimit(1, 60)))
    user = watched.service.join("ursula")

    watched.client.simulate_get("/nothing/here", remote_addr="192.0.2.1")
    watched.client.simulate_post(f"{PREFIX}/songs", json=NEW_SONG, headers=user, remote_addr="192.0.2.1")
    watched.client.simulate_get(f"{PREFIX}/songs", headers=user, remote_addr="192.0.2.1")

    events = watched.told()
    assert [(e["event"], e["status"], e["code"], e["address"]) for e in events] == [
        ("audit", 401, "unauthenticated", "192.0.2.1"),
        ("audit", 403, "forbidden", "192.0.2.1"),
        ("audit", 429, "rate_limited", "192.0.2.1"),
    ]
    assert events[0]["route"] == "none"


@pytest.mark.parametrize("route", OPERATIONS, ids=lambda route: f"{route.method} {route.path}")
def test_an_outage_is_told_with_its_routes(build: Build, route: Operation) -> None:
    """A request that the storage failed before it was routed names its route too, and not its path."""
    watched = Watched(build)
    user = watched.service.join("ursula")
    watched.service.services.storage.close()
    path = PREFIX + route.path.replace("{song_id}", "hidden").replace("{name}", "hidden")
    if watched.client.simulate_request(route.method, path, headers=user).status_code < 500:
        pytest.skip("it needs no storage, or the cache has it")
    told = watched.told()[-1]
    assert (told["route"], told["action"]) == (PREFIX + route.path, route.operation_id)
    assert "hidden" not in json.dumps(told) or told["event"] == "audit"


def test_sign_ins_are_audited_without_names_or_passwords(build: Build) -> None:
    """A good one with the user's id, a bad one with what became of it; people type passwords into the wrong field."""
    watched = Watched(build)
    watched.service.join("ursula")
    bodies = [
        {"username": "ursula", "password": PASSWORD},
        {"username": "hunter2-instead-of-a-name", "password": "a wrong one"},
    ]

    for body in bodies:
        watched.client.simulate_post(f"{PREFIX}/auth/login", json=body)

    good, bad = watched.told()
    assert (good["action"], good["status"], bool(good["target"])) == ("sign_in", 200, True)
    assert (bad["action"], bad["status"], bad["code"]) == ("sign_in", 401, "bad_credentials")
    for hidden in ("hunter2", "a wrong one", PASSWORD, "ursula"):
        assert hidden not in json.dumps([good, bad])


def test_a_wrong_password_of_a_user_names_the_user(build: Build) -> None:
    """Guessing at one is seen in a flood of names that are none; the client is told nothing of it."""
    watched = Watched(build)
    watched.service.join("ursula")
    user_id = watched.service.services.accounts.sign_in("ursula", PASSWORD, deadline=watched.service.deadline()).user.id
    answers = [
        watched.client.simulate_post(f"{PREFIX}/auth/login", json={"username": name, "password": "a wrong one"})
        for name in ("ursula", "nobody")
    ]

    assert [event.get("target") for event in watched.told()] == [user_id, None]
    assert user_id not in answers[0].text
    assert answers[0].json.keys() == answers[1].json.keys()


def test_refused_requests_fill_no_log(build: Build) -> None:
    """Without a token, as many as anyone likes: the first lines, and then how many there were."""
    watched = Watched(build)
    for _ in range(LINES_ALTOGETHER + 7):
        watched.client.simulate_get("/nothing/here", remote_addr="192.0.2.1")

    assert len(watched.told()) == LINES_ALTOGETHER
    watched.service.services.clock.sleep(WINDOW_S)
    assert [event["left_out"] for event in watched.told()] == [7]


def test_sessions_are_audited(build: Build) -> None:
    """Whose token was refreshed or signed out; a refused one has a user only when it was used again long after."""
    watched = Watched(build)
    watched.service.join("ursula")
    signed_in = watched.service.services.accounts.sign_in("ursula", PASSWORD, deadline=watched.service.deadline())
    first, user_id = signed_in.refresh_token, signed_in.user.id

    def send(path: str, token: str) -> Any:
        return watched.client.simulate_post(f"{PREFIX}/auth/{path}", json={"refresh_token": token}).json

    second = send("refresh", first)["refresh_token"]
    send("refresh", first)
    watched.service.services.clock.sleep(11)
    send("refresh", first)
    send("refresh", second)
    send("logout", second)

    assert [(e["action"], e["status"], e.get("target")) for e in watched.told()] == [
        ("refresh", 200, user_id),
        ("refresh", 401, None),
        ("refresh", 401, user_id),
        ("refresh", 401, None),
        ("sign_out", 204, None),
    ]


def test_changes_of_the_catalogue_and_of_roles_are_audited(build: Build) -> None:
    """Who, what, to which song or user."""
    watched = Watched(build)
    admin = watched.service.join("adele")
    watched.service.join("ursula")
    accounts, deadline = watched.service.services.accounts, watched.service.deadline()
    from songs.model import Role  # noqa: PLC0415 - beside its only use

    accounts.change("adele", role=Role.ADMIN, deadline=deadline)
    admin = watched.service.bearer(accounts.token_for(accounts.get("adele", deadline=deadline)).access_token)

    song_id = watched.client.simulate_post(f"{PREFIX}/songs", json=NEW_SONG, headers=admin).json["id"]
    watched.client.simulate_patch(f"{PREFIX}/users/ursula", json={"role": "editor"}, headers=admin)

    added, role = watched.told()
    assert (added["action"], added["target"]) == ("add_song", song_id)
    assert (role["action"], role["target"], role["status"]) == ("change_user", "ursula", 200)
    assert added["user_id"] == role["user_id"]


def test_every_route_that_changes_songs_or_users_is_audited() -> None:
    """A new one cannot be forgotten: only ratings are written without an audit line."""
    silent = {route.operation_id for route in OPERATIONS if route.method != "GET" and not route.audited}

    assert silent == {"rate_song"}


@pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")
def test_requests_are_counted_by_template_and_known_methods(build: Build) -> None:
    """What clients make up (methods, paths, ids) makes no new series."""
    watched = Watched(build, METERED, metrics=Metrics())
    user = watched.service.join("ursula")
    for number in range(3):
        watched.client.simulate_get(f"{PREFIX}/songs/s{number}", headers=user)
        watched.client.simulate_request(f"BREW{number}", f"{PREFIX}/songs/s{number}", headers=user)

    text = watched.client.simulate_get("/metrics", headers=watched.service.bearer(TOKEN.decode())).text

    count = "songs_request_duration_seconds_count"
    assert f'{count}{{method="GET",route="{PREFIX}/songs/{{song_id}}",status="404"}} 3.0' in text
    assert f'{count}{{method="other",route="none",status="405"}} 3.0' in text
    assert "BREW" not in text
    assert 'songs_storage_unit_duration_seconds_count{outcome="ok",scope="read"}' in text


@pytest.mark.parametrize("path", ["/metrics", f"{PREFIX}/metrics"])
def test_metrics_are_for_those_who_have_their_token(build: Build, path: str) -> None:
    """No token and a user's token are 401; the metrics' own token is good for nothing else."""
    watched = Watched(build, METERED, metrics=Metrics())
    user, own = watched.service.join("ursula"), watched.service.bearer(TOKEN.decode())

    statuses = [watched.client.simulate_get(path, headers=headers).status_code for headers in ({}, user, own)]

    assert statuses == [401, 401, 200]
    assert watched.client.simulate_get(f"{PREFIX}/songs", headers=own).status_code == 401
    assert watched.client.simulate_post(path, headers=own).status_code == 401


def test_without_a_token_there_are_no_metrics(service: Service, admin: dict[str, str]) -> None:
    """404 for everyone who may ask, 401 for everyone else."""
    assert service.client.simulate_get("/metrics", headers=admin).status_code == 404
    assert service.client.simulate_get("/metrics").status_code == 401
