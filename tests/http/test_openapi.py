"""The OpenAPI document: valid, complete, and true of what is sent."""

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from songs_api.http.app import OPERATIONS, openapi_document
from songs_api.http.kernel import openapi
from songs_api.http.kernel.operation import JSON, PREFIX, Operation

from .conftest import ANY, PASSWORD, Build, Service

DOCUMENT = openapi.document(OPERATIONS)
DOCUMENTED = [route for route in OPERATIONS if route.documented]


_OPTIONAL = ("Link", "Idempotency-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After", "ETag", "Location")


def _operation(route: Operation) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation


def _check(schema: dict[str, Any], value: object) -> None:
    """Raise unless `value` is what `schema` says, whose references lead into the document."""
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def test_the_document_is_openapi() -> None:
    """A validator of others accepts it."""
    validate(DOCUMENT)


def test_the_document_has_every_route_and_no_other() -> None:
    """Each documented route is there once, the rest is not."""
    described = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}

    assert described == {(route.method, route.path) for route in DOCUMENTED}


def test_the_document_is_made_when_it_is_asked_for(build: Build) -> None:
    """It takes a part of a second, for which no start waits."""
    openapi_document.cache_clear()
    service = build()
    assert openapi_document.cache_info().misses == 0

    service.client.simulate_get("/openapi.json")
    assert openapi_document.cache_info().misses == 1


def test_the_document_is_served(service: Service) -> None:
    """The same bytes at both addresses, to anyone."""
    served = [service.client.simulate_get(path) for path in ("/openapi.json", f"{PREFIX}/openapi.json")]

    assert [answer.json for answer in served] == [DOCUMENT, DOCUMENT]
    assert served[0].headers["Content-Type"] == "application/json"


def test_calls_from_the_page_reach_the_api() -> None:
    """The server's address is absolute, so that it is right from /docs and from /api/v1/docs."""
    assert DOCUMENT["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("route", DOCUMENTED, ids=lambda route: route.operation_id)
def test_an_operation_says_what_its_route_does(route: Operation) -> None:
    """Security, parameters, body, answers and problems follow from the table."""
    operation = _operation(route)
    responses = operation["responses"]
    parameters = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}

    assert operation["security"] == ([{"bearer": []}] if route.needs else [])
    assert {str(status) for status in route.answers} <= set(responses)
    assert ("401" in responses) == (route.needs is not None or route.operation_id in {"sign_in", "refresh"})
    assert ("requestBody" in operation) == (route.request is not None)
    assert ({"411", "413", "415"} <= set(responses)) == (route.request is not None)
    assert ("429" in responses) == route.limited
    assert {name for kind, name in parameters if kind == "path"} == set(re.findall(r"{(\w+)}", route.path))
    assert {name for kind, name in parameters if kind == "query"} == set(route.query.model_fields)
    assert (("header", "Idempotency-Key") in parameters) == route.idempotent_by_key
    assert (("header", "If-Match") in parameters) == ("428" in responses) == route.if_match
    assert (
        (("header", "If-None-Match") in parameters) == ("304" in responses) == (route.tagged and route.method == "GET")
    )
    for status, response in responses.items():
        assert ("application/problem+json" in response.get("content", {})) == (int(status) >= 400)


def _is_required(header: str) -> bool:
    return bool(DOCUMENT["components"]["headers"][header]["required"])


def _responses() -> list[dict[str, Any]]:
    return [response for route in DOCUMENTED for response in _operation(route)["responses"].values()]


def test_everything_is_described() -> None:
    """Operations, parameters, bodies, answers, headers, models and their members: each has a sentence of its own."""
    operations = [_operation(route) for route in DOCUMENTED]
    schemas = DOCUMENT["components"]["schemas"]
    members = [
        schemas[member["$ref"].rpartition("/")[2]] if "$ref" in member and "description" not in member else member
        for schema in schemas.values()
        for member in schema.get("properties", {}).values()
    ]
    described = [
        *operations,
        *(parameter for operation in operations for parameter in operation.get("parameters", [])),
        *(operation["requestBody"] for operation in operations if "requestBody" in operation),
        *_responses(),
        *DOCUMENT["components"]["headers"].values(),
        *DOCUMENT["tags"],
        *schemas.values(),
        *members,
    ]

    assert [part for part in described if not part.get("description", "").strip()] == []
    assert [operation["operationId"] for operation in operations if not operation["summary"]] == []


def test_headers_of_answers_are_documented() -> None:
    """On every answer its id, and what is left of limits where there may be some; others where they belong."""
    for route in DOCUMENTED:
        for status, response in _operation(route)["responses"].items():
            named = set(response["headers"])
            assert "X-Request-ID" in named
            assert ({"RateLimit", "RateLimit-Policy"} <= named) == route.limited
            assert ("Retry-After" in named) == (status in {"429", "503"})
            assert ("Link" in named) == (status == "200" and route.operation_id in {"list_songs", "search_songs"})
            assert ("Idempotency-Replayed" in named) == (status == "201" and route.idempotent_by_key)


def test_a_body_has_one_media_type() -> None:
    """Generated clients cannot be imported where one schema comes as two media types; the service takes both."""
    bodies = [_operation(route)["requestBody"]["content"] for route in DOCUMENTED if route.request]

    assert {tuple(content) for content in bodies} == {("application/json",)}


def test_answers_may_get_more_members_some_day() -> None:
    """Only what is sent to the service is closed: a client must not choke on a member that it does not know."""
    requests = {route.request.__name__ for route in DOCUMENTED if route.request}

    closed = {
        name
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if schema.get("additionalProperties") is False
    }
    assert closed == requests


def test_no_model_has_a_member_of_its_own_name() -> None:
    """Generators name variables after both."""
    schemas = DOCUMENT["components"]["schemas"]
    names = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in schemas}

    assert [name for name, schema in schemas.items() if names[name] in schema.get("properties", {})] == []


def test_a_new_password_has_a_least_length() -> None:
    """Where one is chosen, and not where one is checked."""
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["Registration"]["properties"]["password"]["minLength"] == 8
    assert schemas["PasswordChange"]["properties"]["new_password"]["minLength"] == 8
    assert "minLength" not in schemas["Credentials"]["properties"]["password"]


def test_examples_of_answers_are_valid() -> None:
    """Each answer with a body has one, which is what its schema asks for and what the service renders."""
    for response in _responses():
        for content in response.get("content", {}).values():
            _check(content["schema"], content["example"])
    for route in DOCUMENTED:
        for status, model in route.answers.items():
            if model:
                (content,) = (c for m, c in _operation(route)["responses"][str(status)]["content"].items() if m == JSON)
                model.model_validate_json(json.dumps(content["example"]))


def _keywords(schema: Any) -> set[str]:
    """Return every keyword that a schema uses, at any depth."""
    if isinstance(schema, list):
        return set().union(*map(_keywords, schema))
    if not isinstance(schema, dict):
        return set()
    nested = [part for name, part in schema.items() if name not in {"properties", "examples", "default", "enum"}]
    return (set(schema) - {"properties"}) | _keywords(nested + list(schema.get("properties", {}).values()))


def test_schemas_use_words_that_validators_know() -> None:
    """A keyword that JSON Schema does not have would be ignored by everyone, and the limit with it."""
    parameters = [p["schema"] for route in DOCUMENTED for p in _operation(route).get("parameters", [])]
    used = _keywords([*parameters, *DOCUMENT["components"]["schemas"].values()])

    known = """
        $ref additionalProperties anyOf const default description enum examples format items maxLength maximum
        minLength minimum multipleOf pattern propertyNames required title type
    """
    assert used - set(known.split()) == set()


@pytest.mark.parametrize("route", [r for r in DOCUMENTED if r.request], ids=lambda route: route.operation_id)
def test_examples_are_valid(route: Operation) -> None:
    """An example is what its own schema asks for, and what our reader accepts."""
    assert route.request is not None
    for content in _operation(route)["requestBody"]["content"].values():
        _check(content["schema"], content["example"])


def test_answers_are_what_the_document_says(service: Service, admin: dict[str, str]) -> None:
    """One bad and one good answer of every operation, against the schemas; a user's own account is not the admin's."""
    own = {"change_password": service.join("petra"), "remove_own_account": service.join("regina")}
    song_id = service.add_song()
    service.join("ursula")
    signed_in = service.services.accounts.sign_in("ursula", PASSWORD, deadline=service.deadline())
    song = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}
    bodies: dict[str, Any] = {
        "register": {"username": "ada", "password": PASSWORD},
        "sign_in": {"username": "ursula", "password": PASSWORD},
        "refresh": {"refresh_token": signed_in.refresh_token},
        "sign_out": {"refresh_token": signed_in.refresh_token},
        "change_password": {"current_password": PASSWORD, "new_password": "another long phrase"},
        "remove_own_account": {"password": PASSWORD},
        "add_song": song,
        "replace_song": song | {"title": "Other"},
        "change_song": {"level": 3},
        "rate_song": {"song_id": song_id, "rating": 3},
        "change_user": {"role": "editor"},
    }
    for route in sorted(DOCUMENTED, key=lambda route: route.method == "DELETE"):
        url = (PREFIX + route.path).replace("{song_id}", song_id).replace("{name}", "ursula")
        query = "message=a" if route.operation_id == "search_songs" else ""
        headers = own.get(route.operation_id, admin)
        bad = service.client.simulate_request(route.method, url, headers=headers, query_string="no=1")
        good = service.client.simulate_request(
            route.method,
            url,
            headers=headers | ANY if route.if_match else headers,
            query_string=query,
            json=bodies.get(route.operation_id),
        )

        assert good.status_code in route.answers, (route.operation_id, good.text)
        assert bad.status_code == 422
        for result in (good, bad):
            response = _operation(route)["responses"][str(result.status_code)]
            if "content" in response:
                assert all(name in result.headers for name in response["headers"] if _is_required(name))
                assert {name for name in _OPTIONAL if name in result.headers} <= set(response["headers"])
                media_type = result.headers["Content-Type"]
                _check(response["content"][media_type]["schema"], result.json)
                if model := route.answers.get(result.status_code):
                    # The model, other than the document, forbids members that it does not have.
                    model.model_validate_json(result.content)
