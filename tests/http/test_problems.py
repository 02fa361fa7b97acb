"""Errors: every one has a status, a place in the documentation and the same shape."""

import re
from pathlib import Path
from typing import Any

import falcon
import pytest

from songs import errors
from songs.errors import FieldError, RateLimited, SongsError
from songs_api.http.kernel import problem_details as problems
from songs_api.http.kernel import validation as failures
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.problem_details import Problem

from .conftest import Service
from .raising import OURS, app_that_raises


def _make(kind: type[SongsError]) -> SongsError:
    arguments: dict[type[SongsError], tuple[Any, ...]] = {
        errors.InvalidInput: ([FieldError("/level", "is wrong")],),
        RateLimited: (2.5,),
        failures.MethodNotAllowed: (("GET",),),
    }
    return kind(*arguments.get(kind, ()))


def test_every_error_has_a_status() -> None:
    """An error without a line in the table would be a 500, or its parent's status, by accident."""
    assert [kind.__name__ for kind in OURS if kind not in problems.STATUSES] == []


def test_codes_are_distinct() -> None:
    """A client tells errors apart by code."""
    codes = [kind.code for kind in OURS]

    assert len(codes) == len(set(codes))


def test_the_documentation_lists_every_error(project_root: Path) -> None:
    """docs/errors.md has a row with code, status and meaning for each error that a client may see, and no other."""
    text = (project_root / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+?) \|$", text, re.MULTILINE)
    unseen = {errors.CacheUnavailable, errors.LimiterUnavailable, errors.ScopeViolation, errors.Unsupported}

    assert {(code, int(status), meaning) for code, status, meaning in rows} == {
        (kind.code, problems.STATUSES[kind], kind.summary) for kind in OURS if kind not in unseen
    }


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_error_has_the_same_shape(service: Service, user: dict[str, str], kind: type[SongsError]) -> None:
    """Each is application/problem+json with all members, and the headers that its status asks for."""
    status = problems.STATUSES[kind]

    result = app_that_raises(service, _make(kind)).simulate_get("/raises", headers=user)

    problem = Problem.model_validate(result.json)
    assert result.headers["Content-Type"] == "application/problem+json"
    assert (result.status_code, problem.status) == (status, status)
    assert problem.type == f"urn:songs:problem:{problem.code}"
    assert problem.instance == f"urn:songs:request:{result.headers['X-Request-ID']}"
    assert problem.error == problem.detail
    assert problem.code == (kind.code if status != 500 else "internal")
    assert ("WWW-Authenticate" in result.headers) == (status == 401)
    assert ("Retry-After" in result.headers) == (status in {429, 503})
    assert ("Allow" in result.headers) == (status == 405)
    assert bool(problem.errors) == (kind is errors.InvalidInput)


def test_an_error_of_an_adapter_has_the_status_of_its_parent() -> None:
    """Adapters may refine our errors."""

    class DiskFull(errors.StorageUnavailable):
        code = "disk_full"

    assert problems.status_of(DiskFull) == 503


def test_retry_after_is_whole_seconds_and_never_too_soon(service: Service, user: dict[str, str]) -> None:
    """2.5 seconds become 3."""
    result = app_that_raises(service, RateLimited(2.5)).simulate_get("/raises", headers=user)

    assert result.headers["Retry-After"] == "3"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the secret"),
        errors.ScopeViolation("the secret"),
        falcon.HTTPInternalServerError(title="the secret"),
    ],
)
def test_a_defect_says_nothing_to_the_client_and_all_to_the_log(
    service: Service, user: dict[str, str], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """500 with a general text; the log has the error and the id that the client was given."""
    result = app_that_raises(service, error).simulate_get("/raises", headers=user)

    assert (result.status_code, result.json["code"]) == (500, "internal")
    assert "secret" not in result.text
    assert "Traceback" not in result.text
    assert caplog.records[-1].exc_info is not None
    assert caplog.records[-1].exc_info[1] is error
    assert result.headers["X-Request-ID"] in caplog.records[-1].getMessage()


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "text/xml", "image/png", "*/*;q=0"])
def test_problems_are_json_whatever_is_accepted(service: Service, accept: str) -> None:
    """Falcon would leave the body out, or write XML."""
    result = service.client.simulate_get(f"{PREFIX}/songs", headers={"Accept": accept})

    assert result.headers["Content-Type"] == "application/problem+json"
    assert result.json["code"] == "unauthenticated"


def test_every_request_has_an_id_of_ours(service: Service) -> None:
    """Ids differ, and one that a client sends is not taken over."""
    answers = [service.client.simulate_get(f"{PREFIX}/health", headers={"X-Request-ID": "mine\t1"}) for _ in range(2)]
    ids = [answer.headers["X-Request-ID"] for answer in answers]

    assert len({*ids, "mine\t1"}) == 3


def test_answers_are_neither_cached_nor_sniffed_nor_framed(service: Service, user: dict[str, str]) -> None:
    """Every answer that is not documentation has these headers; one with an ETag may be kept, to be asked for again."""
    kept = service.client.simulate_get(f"{PREFIX}/songs", headers=user)
    for answer in (
        kept,
        service.client.simulate_post(f"{PREFIX}/songs", headers=user),
        service.client.simulate_get(f"{PREFIX}/songs"),
        service.client.simulate_get(f"{PREFIX}/nothing", headers=user),
        service.client.simulate_get(f"{PREFIX}/health"),
    ):
        assert answer.headers["Cache-Control"] == ("private, no-cache" if answer is kept else "private, no-store")
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "Server" not in answer.headers
