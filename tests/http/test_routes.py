"""The table of routes, and what follows from it."""

from collections.abc import Callable

import pytest
from falcon import inspect

from songs.model import Role
from songs_api.http.api.pages import DOCS_ASSETS, PAGE_ASSETS
from songs_api.http.app import OPERATIONS, OperationRouter, create_app
from songs_api.http.kernel.operation import PREFIX

from .conftest import Service

inspect.register_router(OperationRouter)(inspect.inspect_compiled_router)

PUBLIC = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
    "GET /api/v1/health",
    "GET /api/v1/health/ready",
    *(
        f"GET {prefix}{path}"
        for prefix in ("", PREFIX)
        for path in (
            *("/", *(f"/page/{name}" for name in PAGE_ASSETS)),
            *("/docs/", "/openapi.json", "/docs", *(f"/docs/{name}" for name in DOCS_ASSETS)),
        )
    ),
}
NEEDS = {
    "GET /api/v1/songs": Role.USER,
    "POST /api/v1/songs": Role.EDITOR,
    "GET /api/v1/songs/search": Role.USER,
    "GET /api/v1/songs/difficulty/average": Role.USER,
    "GET /api/v1/songs/{song_id}": Role.USER,
    "PUT /api/v1/songs/{song_id}": Role.EDITOR,
    "PATCH /api/v1/songs/{song_id}": Role.EDITOR,
    "DELETE /api/v1/songs/{song_id}": Role.EDITOR,
    "POST /api/v1/songs/ratings": Role.USER,
    "GET /api/v1/songs/{song_id}/ratings": Role.USER,
    "POST /api/v1/auth/password": Role.USER,
    "GET /api/v1/users/me": Role.USER,
    "DELETE /api/v1/users/me": Role.USER,
    "GET /api/v1/users": Role.ADMIN,
    "PATCH /api/v1/users/{name}": Role.ADMIN,
}
PATHS = sorted({path for each in OPERATIONS for path in each.paths})


def _table() -> dict[str, Role | None]:
    return {f"{each.method} {path}": each.needs for each in OPERATIONS for path in each.paths}


def test_these_routes_are_public_and_no_others() -> None:
    """What answers without a token is a decision; this prints the table and holds it to the list above."""
    for name, needs in sorted(_table().items(), key=lambda row: row[0].split(" ")[::-1]):
        print(f"{needs or 'PUBLIC':8} {name}")  # noqa: T201 - shown with -s and when this fails

    assert {name for name, needs in _table().items() if needs is None} == PUBLIC


def test_every_other_route_needs_this_role() -> None:
    """Reading takes a user, editing an editor, users an admin."""
    assert {name: needs for name, needs in _table().items() if needs is not None} == NEEDS


def test_public_paths_have_no_fields() -> None:
    """A field in a public path would let paths be public that nobody listed."""
    assert [path for each in OPERATIONS if each.needs is None for path in each.paths if "{" in path] == []


def test_the_application_serves_the_table_and_nothing_else(service: Service) -> None:
    """Falcon's own list of routes names exactly the paths of the table."""
    served = {route.path for route in inspect.inspect_routes(create_app(service.services).app)}

    assert served == set(PATHS)


def test_a_method_occurs_once_in_a_path() -> None:
    """A second route of the same method and path would silently win."""
    rows = [(each.method, path) for each in OPERATIONS for path in each.paths]

    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("path", PATHS)
def test_options_names_the_methods(service: Service, user: dict[str, str], path: str) -> None:
    """OPTIONS answers 204 with the methods that the table has for the path, and those that follow from them."""
    offered = {each.method for each in OPERATIONS if path in each.paths}
    expected = offered | {"OPTIONS"} | ({"HEAD"} if "GET" in offered else set())

    result = service.client.simulate_options(path, headers=user)

    assert result.status_code == 204
    assert set(result.headers["Allow"].split(", ")) == expected


@pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")
@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE", "CONNECT", "WEBSOCKET", "PROPFIND", "BREW", "get"])
def test_other_methods_are_not_allowed(service: Service, user: dict[str, str], method: str) -> None:
    """405 names the methods that are offered, also to methods that nobody has heard of."""
    result = service.client.simulate_request(method, f"{PREFIX}/songs/ratings", headers=user)

    assert result.status_code == 405
    assert result.headers["Allow"] == "OPTIONS, POST"
    assert result.json["code"] == "method_not_allowed"


def _paths_that_can_be_read() -> list[str]:
    return [path for each in OPERATIONS if each.method == "GET" for path in each.paths]


@pytest.mark.parametrize("path", _paths_that_can_be_read())
def test_head_answers_as_get_does_without_the_body(service: Service, admin: dict[str, str], path: str) -> None:
    """HEAD has the status and headers of GET, the length included."""
    song_id = service.add_song()
    url = path.replace("{song_id}", song_id) + ("?message=canon" if path.endswith("search") else "")
    head, get = (call(url, headers=admin) for call in (service.client.simulate_head, service.client.simulate_get))

    assert get.status_code == head.status_code == (302 if path.endswith("/docs/") else 200)
    assert head.content == b""
    assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path + "/",
        lambda path: "/" + path,
        lambda path: path.replace("/songs", "/songs/."),
        lambda path: path.upper(),
        lambda path: path.removeprefix(PREFIX),
        lambda path: path.replace("/v1", "/v2"),
    ],
)
def test_a_path_has_one_spelling(service: Service, user: dict[str, str], change: Callable[[str], str]) -> None:
    """Slashes too many, dots, and another case are other paths, under which nothing is served."""
    result = service.client.simulate_get(change(f"{PREFIX}/songs"), headers=user)

    assert result.status_code == 404
