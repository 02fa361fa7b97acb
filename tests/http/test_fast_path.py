"""A target that was answered before is answered without Falcon, and nobody can tell."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from falcon import testing

from songs.caching.queries import CachedQuery
from songs.errors import StorageUnavailable
from songs.model import Role
from songs.ports.limiter import RateLimit
from songs_api.http.api.songs import SongItem
from songs_api.http.app import create_app
from songs_api.http.kernel.read_plans import FastPath
from songs_api.settings.service import HttpSettings, ServiceSettings

from .conftest import API, Build, Service, limits

ORIGIN = "https://app.example"
SETTINGS = ServiceSettings(limits=limits(default=RateLimit(1000, 60)), http=HttpSettings(cors_origins=(ORIGIN,)))
PATHS = (
    "/songs/{id}",
    "/songs/{id}/ratings",
    "/songs",
    "/songs?page_size=2&page=2",
    "/songs?page_size=2&cursor=",
    "/songs?artist=johann%20pachelbel",
    "/songs/search?message=CAN%6Fn",
    "/songs/search?message=no+such+song",
    "/songs/difficulty/average",
    "/songs/difficulty/average?level=6",
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"If-None-Match": "*"},
    {"If-None-Match": '"another"'},
    {"If-Match": '"another"'},
    {"If-Match": "no tag"},
    {"Origin": ORIGIN},
    {"Origin": "https://elsewhere.example"},
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    {"Authorization": "Bearer nonsense"},
    {"Authorization": ""},
)
OWN = {"x-request-id", "ratelimit"}
"""Headers that no two answers have in common."""
TIMES = {"timestamp", "request_id", "duration_ms"}


@pytest.fixture
def falcons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that went through Falcon."""
    through: list[str] = []
    original: Callable[..., Any] = FastPath._through_falcon

    def noted(front: FastPath, context: Any, environ: dict[str, Any], start_response: Any) -> Any:
        through.append(environ["PATH_INFO"])
        return original(front, context, environ, start_response)

    monkeypatch.setattr(FastPath, "_through_falcon", noted)
    return through


def _told(log: io.StringIO, service: Service) -> list[dict[str, Any]]:
    log.seek(0)
    log.truncate()
    service.services.telemetry.emit()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def _comparable(answer: testing.Result) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {
        "status": answer.status,
        "headers": {name: value for name, value in headers.items() if name not in OWN},
        "own": OWN & headers.keys(),
        "body": answer.text.replace(headers["x-request-id"], "its id"),
    }


@pytest.mark.parametrize("cached", [True, False], ids=["a cache", "no cache"])
@pytest.mark.parametrize("path", PATHS)
def test_both_ways_answer_alike(build: Build, falcons: list[str], path: str, *, cached: bool) -> None:
    """Status, headers, body and line of the log are the same, whatever the request has besides its target."""
    log = io.StringIO()
    service = build(SETTINGS, cached=cached, log=log)
    token, song = service.join("reader"), [service.add_song(title=f"Canon {n}") for n in range(5)][2]
    target = API + path.format(id=song)
    warm = service.client
    tag = warm.simulate_get(target, headers=token).headers["etag"]
    for more in (*HEADERS, {"If-None-Match": f'W/"x", {tag}'}, {"If-Match": tag}):
        cold = testing.TestClient(create_app(service.services))
        headers = {**token, **more}
        _told(log, service)
        falcons.clear()

        expected = _comparable(cold.simulate_get(target, headers=headers))
        line = _told(log, service)
        through = len(falcons)
        found = _comparable(warm.simulate_get(target, headers=headers))

        assert found == expected
        assert _told(log, service) == line
        assert through == 1
        # Only what is refused goes on to Falcon.
        assert len(falcons) - through == (expected["status"][:3] not in {"200", "304"})


def test_only_reads_that_anyone_signed_in_may_make(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes a role is looked at by the router every time, whoever was answered before."""
    handler: Any = SongItem.on_get
    monkeypatch.setattr(handler, "operation", replace(handler.operation, needs=Role.EDITOR))
    service = build()
    editor, reader, song = service.join("editor", Role.EDITOR), service.join("reader"), service.add_song()

    answers = [service.client.simulate_get(f"{API}/songs/{song}", headers=who) for who in (editor, editor, reader)]

    assert [answer.status_code for answer in answers] == [200, 200, 403]


@pytest.mark.parametrize(
    ("error", "status"), [(StorageUnavailable(), 503), (RuntimeError("a secret of the inside"), 500)]
)
def test_what_fails_is_a_problem_and_counts_once(
    build: Build, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """As if it had been asked for the first time."""
    service = build(SETTINGS)
    token, target = service.join("reader"), f"{API}/songs/{service.add_song()}"
    service.client.simulate_get(target, headers=token)

    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(CachedQuery, "__call__", fail)
    answer = service.client.simulate_get(target, headers=token)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.headers["ratelimit"].split(";")[1] == "r=998"


def test_a_head_and_a_change_of_a_known_target(service: Service, editor: dict[str, str], falcons: list[str]) -> None:
    """Other methods are nothing that was answered before."""
    target = f"{API}/songs/{service.add_song()}"
    first = service.client.simulate_get(target, headers=editor)
    falcons.clear()

    head = service.client.simulate_head(target, headers=editor)
    gone = service.client.simulate_delete(target, headers={**editor, "If-Match": first.headers["etag"]})
    missing = service.client.simulate_get(target, headers=editor)

    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", first.headers["etag"])
    assert (gone.status_code, missing.status_code) == (204, 404)
    assert len(falcons) == 3
