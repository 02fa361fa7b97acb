"""The one reader of request bodies: strict, bounded, and everything that can be refused is refused before it reads."""

from collections.abc import Callable, Collection
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from pydantic import BaseModel

from songs_api.http.failures import (
    BodyTooLarge,
    LengthRequired,
    Malformed,
    TooManyBodies,
    UnsupportedMediaType,
)
from songs_api.http.request import ApiRequest
from songs_api.http.strict_json import parse
from songs_api.http.validation import Check, validated

JSON: Final = "application/json"
DEFAULT_WAIT_S: Final = 1.0
_MAX_LENGTH_DIGITS: Final = 12

Model = TypeVar("Model", bound=BaseModel)
Read = Callable[[], Model]
"""Reads and validates the body of the request at hand; a handler calls it once it knows that it wants the body."""
CheckedRead = Callable[[Check], Model]
"""The same, with what finds more faults than the model."""


class BodyReader:
    """Reads JSON bodies. Thread-safe.

    At most half of the request threads read bodies at once, and at most a quarter wait for their turn, so that slow
    bodies never keep requests without a body waiting.

    Args:
        max_bytes: The largest body that is read.
        request_threads: How many requests the server works on at once.
        wait_s: How long to wait for a turn.
    """

    def __init__(self, *, max_bytes: int, request_threads: int, wait_s: float = DEFAULT_WAIT_S) -> None:
        self._max_bytes = max_bytes
        self._wait_s = wait_s
        self._turns = _filled(max(1, request_threads // 2))
        self._places = _filled(max(1, request_threads // 4))

    def read(
        self, req: ApiRequest, model: type[Model], media_types: Collection[str], check: Check | None = None
    ) -> Model:
        """Return the body as a `model`; `check` as `validated` has it.

        Raises:
            UnsupportedMediaType: The body is not of one of `media_types`, in UTF-8 and without Content-Encoding.
            LengthRequired: No body is announced.
            BodyTooLarge: The body has more than `max_bytes` bytes.
            TooManyBodies: No turn came; nothing was read.
            Malformed: The body is incomplete, or not JSON as `strict_json` has it.
            InvalidInput: The body is JSON of another shape; all that is wrong is named.
        """
        _check_media_type(req, media_types)
        announced = self._announced(req)
        self._take_turn()
        try:
            body = self._received(req, announced)
        finally:
            self._turns.put(None)
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

    def _take_turn(self) -> None:
        try:
            self._turns.get_nowait()
        except Empty:
            self._wait()

    def _wait(self) -> None:
        try:
            self._places.get_nowait()
        except Empty:
            raise TooManyBodies from None
        try:
            self._turns.get(timeout=self._wait_s)
        except Empty:
            raise TooManyBodies from None
        finally:
            self._places.put(None)

    def _received(self, req: ApiRequest, announced: int | None) -> bytes:
        # One byte more than is accepted tells a body that is too large from one that just fits.
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
        return BodyTooLarge(f"The body may have {self._max_bytes} bytes.")


def _filled(count: int) -> "SimpleQueue[None]":
    # Cheaper than a semaphore, and those that wait are served in their order.
    free: SimpleQueue[None] = SimpleQueue()
    for _ in range(count):
        free.put(None)
    return free


def _check_media_type(req: ApiRequest, accepted: Collection[str]) -> None:
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
