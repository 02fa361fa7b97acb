"""Pages of other origins: shut out unless their origin is named."""

from typing import Any

import pytest

from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import PREFIX
from songs_api.settings.service import HttpSettings, ServiceSettings

from .conftest import Build, Service, limits

ORIGIN = "https://app.example.com"
ASKS = {"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}


def _names(result: Any) -> set[str]:
    return {name.lower() for name in result.headers if name.lower().startswith("access-control-")}


@pytest.fixture
def open_service(build: Build) -> Service:
    """A service that names one origin."""
    return build(ServiceSettings(limits=limits(), http=HttpSettings(cors_origins=(ORIGIN, "http://localhost:3000"))))


def test_no_origin_is_let_in_by_default(service: Service, user: dict[str, str]) -> None:
    """Without the setting no answer says anything to a page, and a browser's question needs a token."""
    asked = service.client.simulate_options(f"{PREFIX}/songs", headers=ASKS)
    read = service.client.simulate_get(f"{PREFIX}/songs", headers=user | {"Origin": ORIGIN})

    assert (asked.status_code, read.status_code) == (401, 200)
    assert (_names(asked), _names(read)) == (set(), set())
    assert "Vary" not in read.headers


@pytest.mark.parametrize(
    "path", [*sorted({path for each in OPERATIONS for path in each.paths}), "/nothing", f"{PREFIX}/songs/../health"]
)
def test_a_browsers_question_needs_no_token_and_tells_nothing(open_service: Service, path: str) -> None:
    """A page of a named origin is told what it may send, in the same words for every path, there or not."""
    asked = open_service.client.simulate_options(path, headers=ASKS)

    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in asked.headers["Access-Control-Allow-Methods"].split(", ")
    assert {"Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key"} <= set(
        asked.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert (asked.headers["Vary"], "Allow" in asked.headers) == ("Origin", False)
    assert asked.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ORIGIN},
        {"Access-Control-Request-Method": "GET"},
        {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "GET"},
        {"Origin": "null", "Access-Control-Request-Method": "GET"},
        {"Origin": ORIGIN + ":443", "Access-Control-Request-Method": "GET"},
        {"Origin": ORIGIN + ".evil.com", "Access-Control-Request-Method": "GET"},
        {"Origin": ORIGIN.upper(), "Access-Control-Request-Method": "GET"},
        {"Origin": f"{ORIGIN}, {ORIGIN}", "Access-Control-Request-Method": "GET"},
        {"Origin": "", "Access-Control-Request-Method": "GET"},
    ],
)
def test_any_other_options_request_needs_a_token(open_service: Service, headers: dict[str, str]) -> None:
    """401 for origins that are not named and for what is not a browser's question."""
    result = open_service.client.simulate_options(f"{PREFIX}/songs", headers=headers)

    assert result.status_code == 401
    assert (result.headers.get("Access-Control-Allow-Origin") == ORIGIN) == (headers.get("Origin") == ORIGIN)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE"])
def test_a_question_by_another_method_is_none(open_service: Service, method: str) -> None:
    """Only OPTIONS asks; the headers alone open nothing."""
    result = open_service.client.simulate_request(method, f"{PREFIX}/songs", headers=ASKS)

    assert result.status_code == 401


def test_a_page_can_read_every_answer_and_its_headers(open_service: Service) -> None:
    """Good answers, refusals and 304 alike; and caches are told that the answer depends on who asks."""
    headers = open_service.join("ursula") | {"Origin": ORIGIN}
    url = f"{PREFIX}/songs"
    read = open_service.client.simulate_get(url, headers=headers)
    answers = [
        read,
        open_service.client.simulate_get(url, headers=headers | {"If-None-Match": read.headers["ETag"]}),
        open_service.client.simulate_get(url, headers={"Origin": ORIGIN}),
        open_service.client.simulate_get(f"{PREFIX}/nothing", headers=headers),
        open_service.client.simulate_get(f"{PREFIX}/health", headers=headers),
        open_service.client.simulate_get("/docs", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [200, 304, 401, 404, 200, 200]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Vary"] == "Origin"
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert {
            "ETag",
            "Location",
            "Link",
            "RateLimit",
            "Retry-After",
            "X-Request-ID",
            "Idempotency-Replayed",
        } <= exposed
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "*", None])
def test_other_pages_read_nothing(open_service: Service, origin: str | None) -> None:
    """The answer names no origin, and says that it might have."""
    headers = open_service.join("ursula") | ({} if origin is None else {"Origin": origin})

    result = open_service.client.simulate_get(f"{PREFIX}/songs", headers=headers)

    assert (result.status_code, result.headers["Vary"], _names(result)) == (200, "Origin", set())
