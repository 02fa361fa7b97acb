"""Errors as `application/problem+json` (RFC 9457), each with a status, and nothing that a client should not see."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import falcon
import orjson

from songs import errors
from songs.errors import SongsError
from songs_api.http import failures
from songs_api.http.request import ApiRequest

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
        failures.Malformed: 400,
        failures.NoSuchRoute: 404,
        failures.MethodNotAllowed: 405,
        failures.PreconditionRequired: 428,
        failures.LengthRequired: 411,
        failures.BodyTimeout: 408,
        failures.BodyTooLarge: 413,
        failures.UnsupportedMediaType: 415,
        failures.TooManyBodies: 503,
    }
)
"""The status of every error, held to `songs.errors` and to docs/errors.md by tests."""

_log: Final = logging.getLogger(__name__)


def status_of(kind: type[SongsError]) -> int:
    """Return the status of an error; one that is not listed has that of its nearest parent that is."""
    return next(STATUSES[known] for known in kind.__mro__ if known in STATUSES)


def answer_songs_error(req: ApiRequest, resp: falcon.Response, error: SongsError, _: object) -> None:
    """Answer with the problem that `error` is."""
    status = status_of(type(error))
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        answer_defect(req, resp, error, None)
        return
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        _log.warning("request %s: %s", req.exchange.request_id, error.code)
    resp.set_headers(_headers_of(error))
    _answer(req, resp, status, error)


def answer_defect(req: ApiRequest, resp: falcon.Response, error: Exception, _: object) -> None:
    """Answer 500 with nothing of `error` in it, and log it with the request's id."""
    _log.error("request %s failed", req.exchange.request_id, exc_info=error)
    _answer(req, resp, 500, SongsError())


def answer_http_error(req: ApiRequest, resp: falcon.Response, error: falcon.HTTPError, params: object) -> None:
    """Answer with our problem in place of an error of Falcon's own."""
    if isinstance(error, falcon.HTTPNotFound):
        answer_songs_error(req, resp, failures.NoSuchRoute(), params)
    elif isinstance(error, falcon.HTTPMethodNotAllowed):
        allowed = tuple((error.headers or {}).get("Allow", "").split(", "))  # type: ignore[union-attr]
        answer_songs_error(req, resp, failures.MethodNotAllowed(allowed), params)
    elif error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        answer_songs_error(req, resp, failures.Malformed(), params)
    else:
        answer_defect(req, resp, error, params)


def _headers_of(error: SongsError) -> dict[str, str]:
    if isinstance(error, errors.InvalidToken):
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token", error_description="{error.summary}"'}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": REALM}
    if isinstance(error, errors.RateLimited | errors.Unavailable):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, failures.MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    return {}


def body_of(error: SongsError, request_id: str) -> bytes:
    """Return the problem that an error is."""
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.summary,
        "status": status_of(type(error)),
        "detail": error.detail,
        "code": error.code,
        "instance": REQUEST_PREFIX + request_id,
        "error": error.detail,
    }
    if isinstance(error, errors.InvalidInput):
        problem["errors"] = [{"pointer": fault.pointer, "message": fault.message} for fault in error.errors]
    return orjson.dumps(problem)


def _answer(req: ApiRequest, resp: falcon.Response, status: int, error: SongsError) -> None:
    req.exchange.problem_code = error.code
    resp.status = status
    resp.content_type = PROBLEM_JSON
    resp.data = body_of(error, req.exchange.request_id)
    resp.text = None
    resp.stream = None
