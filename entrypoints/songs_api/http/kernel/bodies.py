"""The reader of request bodies: strict and bounded. It refuses as much as it can before it reads."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel

from songs.errors import SongsError
from songs_api.http.kernel.body_slots import CONNECTION, BodySlots, LastAnswer
from songs_api.http.kernel.operation import HEADERS, ApiRequest
from songs_api.http.kernel.problem_details import PROBLEM_JSON, body_of, status_of
from songs_api.http.kernel.rate_limits import Network, bucket_of
from songs_api.http.kernel.validation import (
    BodyTimeout,
    BodyTooLarge,
    Check,
    LengthRequired,
    Malformed,
    UnsupportedMediaType,
    parse,
    validated,
)

_MAX_LENGTH_DIGITS: Final = 12

Model = TypeVar("Model", bound=BaseModel)
Read = Callable[[], Model]
"""Reads and validates the body of the request at hand; a handler calls it once it knows that it wants the body."""
CheckedRead = Callable[[Check], Model]
"""The same, with an additional check beyond the model."""


class BodyReader:
    """Reads JSON bodies. Thread-safe.

    Args:
        max_bytes: The largest body that is read.
        slots: Limits the bodies received at once, and their time.
        trusted_proxies: Networks of proxies whose forwarded addresses are believed.
    """

    def __init__(self, *, max_bytes: int, slots: BodySlots, trusted_proxies: Sequence[Network] = ()) -> None:
        self._max_bytes = max_bytes
        self._slots = slots
        self._trusted = trusted_proxies

    def read(
        self, req: ApiRequest, model: type[Model], media_types: Collection[str], check: Check | None = None
    ) -> Model:
        """Return the body as a `model`; for `check`, see `validated`.

        Raises:
            UnsupportedMediaType: The body is not of one of `media_types`, in UTF-8 and without Content-Encoding.
            LengthRequired: No body is announced.
            BodyTooLarge: The body has more than `max_bytes` bytes.
            TooManyBodies: No slot came; nothing was read.
            BodyTimeout: It took too long.
            Malformed: The body is incomplete, or not JSON as `strict_json` has it.
            InvalidInput: The body is JSON of another shape; all that is wrong is named.
        """
        _check_media_type(req, media_types)
        announced = self._announced(req)
        body = self._received_in_time(req, announced)
        req.api_context.body_was_read = True
        return validated(model, parse(body), check)

    def _announced(self, req: ApiRequest) -> int | None:
        """Return the announced length in bytes, None for a body in chunks."""
        length = req.env.get("CONTENT_LENGTH")
        if transfer := req.env.get("HTTP_TRANSFER_ENCODING"):
            if length or transfer.strip().lower() != "chunked":
                raise Malformed("Send either Content-Length or Transfer-Encoding: chunked.")
            return None
        if not length:
            raise LengthRequired
        if not (length.isascii() and length.isdigit()):
            raise Malformed("Content-Length is not a number of bytes.")
        if len(length) > _MAX_LENGTH_DIGITS or int(length) > self._max_bytes:
            raise self._too_large()
        return int(length)

    def _received_in_time(self, req: ApiRequest, announced: int | None) -> bytes:
        context, environ = req.api_context, req.env
        slot = self._slots.take(
            context.principal.user_id if context.principal else bucket_of(environ, self._trusted),
            known=context.principal is not None,
            connection=environ.get(CONNECTION),
            answer=partial(_too_late, context.request_id),
        )
        try:
            body = self._received(req, announced)
        except BaseException as error:
            if self._slots.release(slot) or not isinstance(error, SongsError):
                raise
            # Whatever became of it: its client may have been answered already.
            raise BodyTimeout from error
        if not self._slots.release(slot):
            raise BodyTimeout
        return body

    def _received(self, req: ApiRequest, announced: int | None) -> bytes:
        # One byte more than the limit shows whether a body is too large or just fits.
        wanted = self._max_bytes + 1 if announced is None else announced
        parts: list[bytes] = []
        received = 0
        try:
            while received < wanted and (part := req.stream.read(wanted - received)):
                parts.append(part)
                received += len(part)
        except Exception as error:  # each server has its own errors for a broken body
            raise Malformed("The body could not be received.") from error
        if announced is not None and received != announced:
            raise Malformed("The body is shorter than its Content-Length.")
        if received > self._max_bytes:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body may have at most {self._max_bytes} bytes.")


def _too_late(request_id: str) -> LastAnswer:
    headers = HEADERS | {"content-type": PROBLEM_JSON, "x-request-id": request_id}
    return LastAnswer(status_of(BodyTimeout), list(headers.items()), body_of(BodyTimeout(), request_id))


def _check_media_type(req: ApiRequest, accepted: Collection[str]) -> None:
    if req.env.get("CONTENT_TYPE") in accepted and "HTTP_CONTENT_ENCODING" not in req.env:
        # As nearly everyone sends it.
        return
    name, _, parameters = (req.content_type or "").partition(";")
    if name.strip().lower() not in accepted or (parameters and not _is_utf8(parameters)):
        raise UnsupportedMediaType(f"Send the body as {' or '.join(accepted)}, in UTF-8.")
    if req.env.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding.")


def _is_utf8(parameters: str) -> bool:
    for parameter in filter(None, (part.strip() for part in parameters.split(";"))):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            return False
    return True
