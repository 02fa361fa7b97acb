"""The OpenAPI 3.1 document, generated from the operations and their models."""

from collections.abc import Iterable, Sequence
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
from songs_api.http.kernel import validation
from songs_api.http.kernel.operation import (
    GENERAL_PROBLEMS,
    IDEMPOTENCY_KEY,
    JSON,
    MERGE_PATCH,
    PREFIX,
    Operation,
)
from songs_api.http.kernel.problem_details import PROBLEM_JSON, Problem, body_of, status_of
from songs_api.http.kernel.query_strings import PageQuery
from songs_api.http.kernel.read_plans import IF_MATCH, IF_NONE_MATCH

_REFERENCE: Final = "#/components/schemas/{model}"
_BODY_PROBLEMS: Final = (
    validation.BodyTimeout,
    validation.LengthRequired,
    validation.BodyTooLarge,
    validation.UnsupportedMediaType,
)
_CONDITION_PROBLEMS: Final = (errors.VersionConflict, validation.PreconditionRequired)
_HEADERS_OF_PROBLEMS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_HEADERS: Final[dict[str, tuple[bool, str, str]]] = {
    "ETag": (
        True,
        '"http-2.01a2307eeb17982a0b776b083bfe4a86.1"',
        "The entity tag of the response, for If-None-Match and If-Match.",
    ),
    "Idempotency-Replayed": (False, "true", "Present if the Idempotency-Key was used for this rating before."),
    "Link": (
        False,
        '<?page=1>; rel="first", <?page=3>; rel="next"',
        "Other parts of the list (RFC 8288), relative to the URL of this one.",
    ),
    "Location": (True, f"{PREFIX}/songs/01a2307eeb17982a0b776b083bfe4a86", "The path of the new song."),
    "RateLimit": (
        False,
        '"default";r=98;t=42',
        "The rest of each limit: r requests in the t seconds until it resets. Absent if there are no limits.",
    ),
    "RateLimit-Policy": (False, '"default";q=100;w=60', "Each limit: q requests in w seconds."),
    "Retry-After": (True, "1", "The number of seconds to wait before trying again."),
    "WWW-Authenticate": (
        True,
        'Bearer realm="songs"',
        "The expected authentication, and the error (RFC 6750).",
    ),
    "X-Request-ID": (
        True,
        "0016ad2f02cbd9d0764164030f6bac87",
        "The id of the request, which is also in the service's log.",
    ),
}
"""For each header: whether it is always present, an example, and a description."""
_PATH_FIELDS: Final = {
    "song_id": {"description": "The id of a song.", "example": "01a2307eeb17982a0b776b083bfe4a86"},
    "name": {"description": "The username; case does not matter.", "example": "ada"},
}
_SCHEME: Final = "bearer"
_SONG_PATH: Final = "/songs/{song_id}"
_TAG_PATTERN: Final = r'(W/)?"[!#-~]*"'
_TAGS_PATTERN: Final = rf"^(\*|{_TAG_PATTERN}( *, *{_TAG_PATTERN})*)$"
_TAGS: Final = {
    "songs": "The catalogue. Any user can read it; editors can change it.",
    "ratings": "Ratings from 1 to 5, and their statistics.",
    "accounts": "Registration, signing in and out, your own account, and, for admins, all users.",
    "service": "The health of the service.",
}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of every documented operation."""
    documented = [operation for operation in operations if operation.documented]
    paths: dict[str, dict[str, Any]] = {}
    for operation in documented:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, documented)
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


def _models(operation: Operation) -> list[type[BaseModel]]:
    request = [operation.request] if operation.request else []
    return [*request, *(model for model in operation.answers.values() if model)]


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    wanted: dict[str, tuple[type[BaseModel], Any]] = {Problem.__name__: (Problem, "validation")}
    for operation in operations:
        wanted |= {model.__name__: (model, "validation") for model in _models(operation)}
    _, schema = models_json_schema(list(wanted.values()), ref_template=_REFERENCE)
    found: dict[str, dict[str, Any]] = dict(sorted(schema["$defs"].items()))
    asked = {operation.request.__name__ for operation in operations if operation.request}
    for name, model in found.items():
        for member in model.get("properties", {}).values():
            # Names made from names, which generators make types of that shadow the models.
            member.pop("title", None)
        if name not in asked:
            # A later version may answer more members, which clients of this one must not choke on.
            model.pop("additionalProperties", None)
    return found


def _described(operation: Operation, all_operations: Sequence[Operation]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation, all_operations),
        "security": [{_SCHEME: []}] if operation.needs else [],
    }
    description = [operation.description or f"{operation.summary}."]
    if MERGE_PATCH in operation.media_types:
        description.append(f"The body is a merge patch (RFC 7396), which can also be sent as `{MERGE_PATCH}`.")
    description.append(f"Needs the role `{operation.needs}`." if operation.needs else "Needs no token.")
    described["description"] = " ".join(description)
    if parameters := [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)]:
        described["parameters"] = parameters
    if operation.request:
        # One media type, though others are taken too: generated clients trip over two with one schema.
        described["requestBody"] = {
            "required": True,
            "description": _first_line(operation.request),
            "content": {JSON: _content(operation.request) | _example(operation.request)},
        }
    return described


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}


def _example(model: type[BaseModel]) -> dict[str, Any]:
    return _first_example(model.model_json_schema())


def _first_example(schema: dict[str, Any]) -> dict[str, Any]:
    examples = schema.pop("examples", [])
    return {"example": examples[0]} if examples else {}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, **_PATH_FIELDS[name]}
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    schema = operation.query.model_json_schema()
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


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = []
    if operation.idempotent_by_key:
        schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"}
        text = "A key chosen by the client. Requests with the same key count once."
        parameters.append(_header_parameter(IDEMPOTENCY_KEY, text, schema) | {"example": "6f9619ff-8b86-d011"})
    if operation.if_match:
        schema = {"type": "string", "pattern": _TAGS_PATTERN}
        text = "The ETag of the song as it was read, so that changes by others are not lost; or `*` for any version."
        parameters.append(_header_parameter(IF_MATCH, text, schema, required=True) | {"example": "*"})
    if _can_be_known(operation):
        text = "The ETag of an earlier response. If it is still current, the response is 304 without a body."
        parameters.append(_header_parameter(IF_NONE_MATCH, text, {"type": "string"}) | {"example": '"http-2.1"'})
    return parameters


def _header_parameter(name: str, text: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


def _can_be_known(operation: Operation) -> bool:
    return operation.tagged and operation.method == "GET"


def _problems(operation: Operation) -> list[type[SongsError]]:
    problems = [*GENERAL_PROBLEMS, *operation.problems]
    if operation.if_match:
        problems.extend(_CONDITION_PROBLEMS)
    elif _can_be_known(operation):
        problems.append(errors.VersionConflict)
    if operation.limited:
        problems.append(errors.RateLimited)
    if operation.needs:
        problems.extend((errors.Unauthenticated, errors.InvalidToken))
    if operation.needs and operation.needs is not Role.USER:
        problems.append(errors.Forbidden)
    if operation.request:
        problems.extend(_BODY_PROBLEMS)
    return problems


def _responses(operation: Operation, all_operations: Sequence[Operation]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.answers.items():
        known: dict[str, Any] = {"description": _first_line(model) if model else "Success, without a body."}
        if model:
            known["content"] = {JSON: _content(model) | _example(model)}
        responses[str(status)] = (
            known | {"headers": _named(*_headers_of_good(operation, status))} | _links(operation, all_operations)
        )
    if _can_be_known(operation):
        responses["304"] = {
            "description": "The client has the current version. There is no body.",
            "headers": _named("ETag", *_headers_of_all(operation)),
        }
    by_status: dict[int, list[type[SongsError]]] = {}
    for problem in _problems(operation):
        by_status.setdefault(status_of(problem), []).append(problem)
    for status, kinds in sorted(by_status.items()):
        codes = "; ".join(f"`{kind.code}`: {kind.summary}" for kind in kinds)
        empty = {"description": f"{HTTPStatus(status).phrase}. {codes}", "content": {}}
        known = responses.setdefault(str(status), empty)
        known["content"][PROBLEM_JSON] = _content(Problem) | {"example": _problem_example(kinds[0])}
        known["headers"] = _named(*_HEADERS_OF_PROBLEMS.get(status, ()), *_headers_of_all(operation))
    return responses


def _problem_example(kind: type[SongsError]) -> dict[str, Any]:
    faults = [errors.FieldError("/level", "must be less than or equal to 100")]
    error = errors.InvalidInput(faults) if kind is errors.InvalidInput else SongsError.__new__(kind)
    if kind is not errors.InvalidInput:
        error.detail = kind.summary
    example: dict[str, Any] = orjson.loads(body_of(error, "0016ad2f02cbd9d0764164030f6bac87"))
    return example


def _headers_of_all(operation: Operation) -> list[str]:
    return ["X-Request-ID", *(["RateLimit", "RateLimit-Policy"] if operation.limited else [])]


def _headers_of_good(operation: Operation, status: int) -> list[str]:
    names = _headers_of_all(operation)
    if operation.tagged:
        names.append("ETag")
    if operation.tagged and status == HTTPStatus.CREATED:
        names.append("Location")
    if issubclass(operation.query, PageQuery):
        names.append("Link")
    if operation.idempotent_by_key:
        names.append("Idempotency-Replayed")
    return names


def _named(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    required, example, text = _HEADERS[name]
    return {"description": text, "required": required, "schema": {"type": "string"}, "example": example}


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _links(operation: Operation, all_operations: Sequence[Operation]) -> dict[str, Any]:
    """Return where an answer that is a song leads to: everything that can be done with this song."""
    if "Song" not in {model.__name__ for model in operation.answers.values() if model}:
        return {}
    links = {}
    for other in all_operations:
        if other.path.startswith(_SONG_PATH):
            parameters = {"path.song_id": "$response.body#/id"}
            if other.if_match:
                parameters[f"header.{IF_MATCH}"] = "$response.header.ETag"
            links[other.operation_id] = {"operationId": other.operation_id, "parameters": parameters}
    return {"links": links}
