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
from songs_api.http.conditions import IF_MATCH, IF_NONE_MATCH
from songs_api.http.problems import PROBLEM_JSON, body_of, status_of
from songs_api.http.queries import PageQuery
from songs_api.http.reading import JSON
from songs_api.http.routes import GENERAL_PROBLEMS, IDEMPOTENCY_KEY, MERGE_PATCH, PREFIX, ROUTES, Route

_REFERENCE: Final = "#/components/schemas/{model}"
_BODY_PROBLEMS: Final = (
    failures.BodyTimeout,
    failures.LengthRequired,
    failures.BodyTooLarge,
    failures.UnsupportedMediaType,
)
_CONDITION_PROBLEMS: Final = (errors.VersionConflict, failures.PreconditionRequired)
_HEADERS_OF_PROBLEMS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_HEADERS: Final[dict[str, tuple[bool, str, str]]] = {
    "ETag": (
        True,
        '"http-2.01a2307eeb17982a0b776b083bfe4a86.1"',
        "Names what was answered, for If-None-Match and If-Match.",
    ),
    "Idempotency-Replayed": (False, "true", "There if the Idempotency-Key had been used for this rating before."),
    "Link": (
        False,
        '<?page=1>; rel="first", <?page=3>; rel="next"',
        "Other parts of the list (RFC 8288), relative to the address of this one.",
    ),
    "Location": (True, f"{PREFIX}/songs/01a2307eeb17982a0b776b083bfe4a86", "Where the new song is."),
    "RateLimit": (
        False,
        '"default";r=98;t=42',
        "What is left of each limit: r requests in the t seconds until it begins again. Not there without limits.",
    ),
    "RateLimit-Policy": (False, '"default";q=100;w=60', "Each limit: q requests in w seconds."),
    "Retry-After": (True, "1", "After how many seconds to try again."),
    "WWW-Authenticate": (
        True,
        'Bearer realm="songs"',
        "Which authentication is expected, and what was wrong (RFC 6750).",
    ),
    "X-Request-ID": (True, "0016ad2f02cbd9d0764164030f6bac87", "Names the request, in the log of the service as well."),
}
"""Of each header: whether it is always there, an example, and what it says."""
_PATH_FIELDS: Final = {
    "song_id": {"description": "The id of a song.", "example": "01a2307eeb17982a0b776b083bfe4a86"},
    "name": {"description": "The name of a user, in any case.", "example": "ada"},
}
_SCHEME: Final = "bearer"
_SONG_PATH: Final = "/songs/{song_id}"
_TAG_PATTERN: Final = r'(W/)?"[!#-~]*"'
_TAGS_PATTERN: Final = rf"^(\*|{_TAG_PATTERN}( *, *{_TAG_PATTERN})*)$"
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
            "headers": {name: _header(name) for name in sorted(_HEADERS)},
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
    found: dict[str, dict[str, Any]] = dict(sorted(schema["$defs"].items()))
    asked = {route.request.__name__ for route in routes if route.request}
    for name, model in found.items():
        for member in model.get("properties", {}).values():
            # Names made from names, which generators make types of that shadow the models.
            member.pop("title", None)
        if name not in asked:
            # A later version may answer more members, which clients of this one must not choke on.
            model.pop("additionalProperties", None)
    return found


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "tags": [route.tag],
        "summary": route.summary,
        "responses": _responses(route),
        "security": [{_SCHEME: []}] if route.needs else [],
    }
    description = [route.description or f"{route.summary}."]
    if MERGE_PATCH in route.media_types:
        description.append(f"A merge patch (RFC 7396), which may be sent as `{MERGE_PATCH}` too.")
    description.append(f"Needs the role `{route.needs}`." if route.needs else "Needs no token.")
    operation["description"] = " ".join(description)
    if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
        operation["parameters"] = parameters
    if route.request:
        # One media type, though others are taken too: generated clients trip over two with one schema.
        operation["requestBody"] = {
            "required": True,
            "description": _first_line(route.request),
            "content": {JSON: _content(route.request) | _example(route.request)},
        }
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
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, **_PATH_FIELDS[name]}
        for name in names
    ]


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
    parameters = []
    if route.idempotent_by_key:
        schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"}
        text = "Chosen by the client: repeating a request with the same key rates once."
        parameters.append(_header_parameter(IDEMPOTENCY_KEY, text, schema) | {"example": "6f9619ff-8b86-d011"})
    if route.if_match:
        schema = {"type": "string", "pattern": _TAGS_PATTERN}
        text = (
            "The ETag of the song as it was read, so that no change by others is lost; or `*` for whichever is there."
        )
        parameters.append(_header_parameter(IF_MATCH, text, schema, required=True) | {"example": "*"})
    if _can_be_known(route):
        text = "The ETag of an earlier answer: if it still holds, the answer is 304 and has no body."
        parameters.append(_header_parameter(IF_NONE_MATCH, text, {"type": "string"}) | {"example": '"http-2.1"'})
    return parameters


def _header_parameter(name: str, text: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


def _can_be_known(route: Route) -> bool:
    return route.tagged and route.method == "GET"


def _problems(route: Route) -> list[type[SongsError]]:
    problems = [*GENERAL_PROBLEMS, *route.problems]
    if route.if_match:
        problems.extend(_CONDITION_PROBLEMS)
    elif _can_be_known(route):
        problems.append(errors.VersionConflict)
    if route.limited:
        problems.append(errors.RateLimited)
    if route.needs:
        problems.extend((errors.Unauthenticated, errors.InvalidToken))
    if route.needs and route.needs is not Role.USER:
        problems.append(errors.Forbidden)
    if route.request:
        problems.extend(_BODY_PROBLEMS)
    return problems


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in route.answers.items():
        known: dict[str, Any] = {"description": _first_line(model) if model else "Done; there is no body."}
        if model:
            known["content"] = {JSON: _content(model) | _example(model)}
        responses[str(status)] = known | {"headers": _named(*_headers_of_good(route, status))} | _links(route)
    if _can_be_known(route):
        responses["304"] = {
            "description": "The client has it already; there is no body.",
            "headers": _named("ETag", *_headers_of_all(route)),
        }
    by_status: dict[int, list[type[SongsError]]] = {}
    for problem in _problems(route):
        by_status.setdefault(status_of(problem), []).append(problem)
    for status, kinds in sorted(by_status.items()):
        codes = "; ".join(f"`{kind.code}`: {kind.summary}" for kind in kinds)
        empty = {"description": f"{HTTPStatus(status).phrase}. {codes}", "content": {}}
        known = responses.setdefault(str(status), empty)
        known["content"][PROBLEM_JSON] = _content(answers.Problem) | {"example": _problem_example(kinds[0])}
        known["headers"] = _named(*_HEADERS_OF_PROBLEMS.get(status, ()), *_headers_of_all(route))
    return responses


def _problem_example(kind: type[SongsError]) -> dict[str, Any]:
    faults = [errors.FieldError("/level", "must be less than or equal to 100")]
    error = errors.InvalidInput(faults) if kind is errors.InvalidInput else SongsError.__new__(kind)
    if kind is not errors.InvalidInput:
        error.detail = kind.summary
    example: dict[str, Any] = orjson.loads(body_of(error, "0016ad2f02cbd9d0764164030f6bac87"))
    return example


def _headers_of_all(route: Route) -> list[str]:
    return ["X-Request-ID", *(["RateLimit", "RateLimit-Policy"] if route.limited else [])]


def _headers_of_good(route: Route, status: int) -> list[str]:
    names = _headers_of_all(route)
    if route.tagged:
        names.append("ETag")
    if route.tagged and status == HTTPStatus.CREATED:
        names.append("Location")
    if issubclass(route.query, PageQuery):
        names.append("Link")
    if route.idempotent_by_key:
        names.append("Idempotency-Replayed")
    return names


def _named(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    required, example, text = _HEADERS[name]
    return {"description": text, "required": required, "schema": {"type": "string"}, "example": example}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _links(route: Route) -> dict[str, Any]:
    """Return where an answer that is a song leads to: everything that can be done with this song."""
    if answers.Song not in route.answers.values():
        return {}
    links = {}
    for other in ROUTES:
        if other.path.startswith(_SONG_PATH):
            parameters = {"path.song_id": "$response.body#/id"}
            if other.if_match:
                parameters[f"header.{IF_MATCH}"] = "$response.header.ETag"
            links[other.operation_id] = {"operationId": other.operation_id, "parameters": parameters}
    return {"links": links}
