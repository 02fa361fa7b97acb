"""OpenAPI 3.1, made of the table of routes and the models."""

from functools import cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from songs import errors
from songs.errors import SongsError
from songs.limits import MAX_KEY
from songs.model import Role
from songs_api.http import answers, failures
from songs_api.http.problems import PROBLEM_JSON, status_of
from songs_api.http.reading import JSON
from songs_api.http.routes import GENERAL_PROBLEMS, IDEMPOTENCY_KEY, PREFIX, ROUTES, Route

_REFERENCE: Final = "#/components/schemas/{model}"
_BODY_PROBLEMS: Final = (failures.LengthRequired, failures.BodyTooLarge, failures.UnsupportedMediaType)
_SCHEME: Final = "bearer"
_TAGS: Final = {
    "songs": "The catalogue. Reading takes any account, editing the role of an editor.",
    "ratings": "Ratings from 1 to 5, and their statistics.",
    "accounts": "Registering, signing in and out; your own account; users, for admins.",
    "service": "Whether the service is well.",
}


@cache
def document_bytes() -> bytes:
    """Return the document as JSON, the same bytes every time."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2)


def document() -> dict[str, Any]:
    """Return the document of every documented route."""
    documented = [route for route in ROUTES if route.documented]
    paths: dict[str, dict[str, Any]] = {}
    for route in documented:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Songs API",
            "version": _version(),
            "description": "A song catalogue and its ratings. Errors are `application/problem+json` (RFC 9457); "
            "their `code` is stable.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": PREFIX}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(documented),
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `access_token` of POST /auth/login.",
                }
            },
        },
    }


def _version() -> str:
    try:
        return version("songs-api")
    except PackageNotFoundError:
        return "0"


def _models(route: Route) -> list[type[BaseModel]]:
    request = [route.request] if route.request else []
    return [*request, *(model for model in route.answers.values() if model)]


def _schemas(routes: list[Route]) -> dict[str, Any]:
    wanted: dict[str, tuple[type[BaseModel], Any]] = {answers.Problem.__name__: (answers.Problem, "validation")}
    for route in routes:
        wanted |= {model.__name__: (model, "validation") for model in _models(route)}
    _, schema = models_json_schema(list(wanted.values()), ref_template=_REFERENCE)
    return dict(sorted(schema["$defs"].items()))


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        "responses": _responses(route),
        "security": [{_SCHEME: []}] if route.needs else [],
    }
    description = [route.description] if route.description else []
    if route.needs and route.needs is not Role.USER:
        description.append(f"Needs the role `{route.needs}`.")
    if description:
        operation["description"] = " ".join(description)
    if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
        operation["parameters"] = parameters
    if route.request:
        content = {media_type: _content(route.request) | _example(route.request) for media_type in route.media_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}


def _example(model: type[BaseModel]) -> dict[str, Any]:
    return _first_example(model.model_json_schema())


def _first_example(schema: dict[str, Any]) -> dict[str, Any]:
    examples = schema.pop("examples", [])
    return {"example": examples[0]} if examples else {}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    schema = route.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.pop("description", ""),
            **_first_example(field),
            "schema": _without_null(field),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter: one that is left out is absent, never null."""
    kept = {name: value for name, value in schema.items() if name not in {"title", "anyOf", "default"}}
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            kept |= {name: value for name, value in choice.items() if name != "description"}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return kept


def _header_parameters(route: Route) -> list[dict[str, Any]]:
    if not route.idempotent_by_key:
        return []
    return [
        {
            "name": IDEMPOTENCY_KEY,
            "in": "header",
            "required": False,
            "description": "Chosen by the client: repeating a request with the same key rates once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
        }
    ]


def _problems(route: Route) -> list[type[SongsError]]:
    problems = [*GENERAL_PROBLEMS, *route.problems]
    if route.limited:
        problems.append(errors.RateLimited)
    if route.needs:
        problems.append(errors.Unauthenticated)
    if route.needs and route.needs is not Role.USER:
        problems.append(errors.Forbidden)
    if route.request:
        problems.extend(_BODY_PROBLEMS)
    return problems


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in route.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if model:
            responses[str(status)]["content"] = {JSON: _content(model)}
    by_status: dict[int, list[type[SongsError]]] = {}
    for problem in _problems(route):
        by_status.setdefault(status_of(problem), []).append(problem)
    for status, kinds in sorted(by_status.items()):
        codes = ", ".join(f"`{kind.code}`" for kind in kinds)
        empty = {"description": f"{HTTPStatus(status).phrase}: {codes}", "content": {}}
        known = responses.setdefault(str(status), empty)
        known["content"][PROBLEM_JSON] = _content(answers.Problem)
        known |= _headers(status)
    return responses


def _headers(status: int) -> dict[str, Any]:
    names = {401: ["WWW-Authenticate"], 429: ["Retry-After", "RateLimit", "RateLimit-Policy"], 503: ["Retry-After"]}
    if status not in names:
        return {}
    return {"headers": {name: {"schema": {"type": "string"}} for name in names[status]}}
