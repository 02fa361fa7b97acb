"""Errors as `application/problem+json` (RFC 9457), each with a status, without internal details."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Final

import falcon
import orjson
from pydantic import BaseModel, Field

from songs import errors
from songs.errors import SongsError
from songs_api.http.kernel import validation
from songs_api.http.kernel.operation import ApiRequest
from songs_api.http.kernel.validation import answer_config

PROBLEM_JSON: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:songs:problem:"
REQUEST_PREFIX: Final = "urn:songs:request:"
REALM: Final = 'Bearer realm="songs"'

STATUSES: Final[Mapping[type[SongsError], int]] = MappingProxyType(
    {
        SongsError: 500,
        errors.InvalidInput: 422,
        errors.UseCursor: 422,
        errors.BadCursor: 400,
        errors.KeyReused: 422,
        errors.NotFound: 404,
        errors.SongNotFound: 404,
        errors.UserNotFound: 404,
        errors.Conflict: 409,
        errors.DuplicateSong: 409,
        errors.UserExists: 409,
        errors.OwnAccount: 409,
        errors.VersionConflict: 412,
        errors.Unauthenticated: 401,
        errors.InvalidToken: 401,
        errors.BadCredentials: 401,
        errors.RefreshRefused: 401,
        errors.Forbidden: 403,
        errors.RegistrationClosed: 403,
        errors.WrongPassword: 403,
        errors.RateLimited: 429,
        errors.Unavailable: 503,
        errors.StorageUnavailable: 503,
        errors.StorageDamaged: 503,
        errors.StorageClosed: 503,
        errors.StorageInUse: 503,
        errors.StorageMismatch: 503,
        errors.TransientConflict: 503,
        errors.OutcomeUnknown: 503,
        errors.DeadlineExceeded: 503,
        errors.Overloaded: 503,
        errors.CacheUnavailable: 503,
        errors.LimiterUnavailable: 503,
        errors.ScopeViolation: 500,
        errors.Unsupported: 500,
        validation.Malformed: 400,
        validation.NoSuchRoute: 404,
        validation.MethodNotAllowed: 405,
        validation.PreconditionRequired: 428,
        validation.LengthRequired: 411,
        validation.BodyTimeout: 408,
        validation.BodyTooLarge: 413,
        validation.UnsupportedMediaType: 415,
        validation.TooManyBodies: 503,
    }
)
"""The status of every error, held to `songs.errors` and to docs/errors.md by tests."""

_log: Final = logging.getLogger(__name__)


class Fault(BaseModel):
    """One wrong member of the body, or parameter of the query."""

    model_config = answer_config({"pointer": "/level", "message": "must be less than or equal to 100"})

    pointer: Annotated[str, Field(description="A JSON pointer to the member, or `/` and the name of the parameter.")]
    message: Annotated[str, Field(description="The reason why it is wrong.")]


class Problem(BaseModel):
    """An error (RFC 9457). `code` is stable; `error` repeats `detail` for older clients."""

    model_config = answer_config(
        {
            "type": "urn:songs:problem:song_not_found",
            "title": "There is no song with this id.",
            "status": 404,
            "detail": "There is no song with this id.",
            "code": "song_not_found",
            "instance": "urn:songs:request:0016ad2f02cbd9d0764164030f6bac87",
            "error": "There is no song with this id.",
        }
    )

    type: Annotated[str, Field(description="`urn:songs:problem:` and the code.")]
    title: Annotated[str, Field(description="A summary, the same for every problem with this code.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="A description of this occurrence.")]
    code: Annotated[str, Field(description="A stable code for programs, listed in docs/errors.md.")]
    instance: Annotated[str, Field(description="`urn:songs:request:` and the id of the request.")]
    error: Annotated[str, Field(description="The same as `detail`.")]
    errors: Annotated[list[Fault], Field(description="For `invalid` only: each wrong member or parameter.")] = Field(
        default_factory=list
    )


def status_of(kind: type[SongsError]) -> int:
    """Return the status of an error; one that is not listed has that of its nearest parent that is."""
    return next(STATUSES[known] for known in kind.__mro__ if known in STATUSES)


def answer_songs_error(req: ApiRequest, resp: falcon.Response, error: SongsError, _: object) -> None:
    """Answer with the problem that `error` is."""
    status = status_of(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        answer_defect(req, resp, error, None)
        return
    if error.about is not None:
        req.api_context.target = error.about
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.warning("request %s: %s: %s", req.api_context.request_id, error.code, _for_operators(error))
    resp.set_headers(_headers_of(error))
    _answer(req, resp, status, error)


def answer_defect(req: ApiRequest, resp: falcon.Response, error: Exception, _: object) -> None:
    """Answer 500 with nothing of `error` in it, and log it with the request's id."""
    _log.error("request %s failed", req.api_context.request_id, exc_info=error)
    _answer(req, resp, 500, SongsError())


def answer_http_error(req: ApiRequest, resp: falcon.Response, error: falcon.HTTPError, params: object) -> None:
    """Answer with our problem in place of an error of Falcon's own."""
    if isinstance(error, falcon.HTTPNotFound):
        answer_songs_error(req, resp, validation.NoSuchRoute(), params)
    elif isinstance(error, falcon.HTTPMethodNotAllowed):
        allowed = tuple((error.headers or {}).get("Allow", "").split(", "))  # type: ignore[union-attr]
        answer_songs_error(req, resp, validation.MethodNotAllowed(allowed), params)
    elif error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        answer_songs_error(req, resp, validation.Malformed(), params)
    else:
        answer_defect(req, resp, error, params)


def _for_operators(error: SongsError) -> str:
    """Return what clients are not shown: the detail, and that of the error that led to this one."""
    cause = error.__cause__
    return f"{error.detail} ({cause.detail})" if isinstance(cause, SongsError) else error.detail


def _headers_of(error: SongsError) -> dict[str, str]:
    if isinstance(error, errors.InvalidToken):
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token", error_description="{error.summary}"'}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": REALM}
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, validation.MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    return {}


def body_of(error: SongsError, request_id: str) -> bytes:
    """Return the problem that an error is."""
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.summary,
        "status": status_of(type(error)),
        "detail": error.public_detail,
        "code": error.code,
        "instance": REQUEST_PREFIX + request_id,
        "error": error.public_detail,
    }
    if isinstance(error, errors.InvalidInput):
        problem["errors"] = [{"pointer": fault.pointer, "message": fault.message} for fault in error.errors]
    return orjson.dumps(problem)


def _answer(req: ApiRequest, resp: falcon.Response, status: int, error: SongsError) -> None:
    req.api_context.problem_code = error.code
    resp.status = status
    resp.content_type = PROBLEM_JSON
    resp.data = body_of(error, req.api_context.request_id)
    resp.text = None
    resp.stream = None
