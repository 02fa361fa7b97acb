"""Errors of HTTP requests, and the validation of input into models, which reports all errors and repeats no input.

JSON is as RFC 8259 has it, and nothing more. The standard library's parser accepts NaN and Infinity, keeps the last of
several equal names, lets lone surrogates through, and recurses as deep as the text does. Each of these is refused here.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from songs.errors import FieldError, InvalidInput, Overloaded, SongsError


class Malformed(SongsError):
    """The request cannot be read: its query string, a header or its body."""

    code = "malformed"
    summary = "The request cannot be read."


class NoSuchRoute(SongsError):
    """No route matches this path."""

    code = "no_such_route"
    summary = "No route matches this path."


class MethodNotAllowed(SongsError):
    """The path does not support this method; `allowed` lists those that it supports."""

    code = "method_not_allowed"
    summary = "This path does not support this method."

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path supports {', '.join(allowed)}.")
        self.allowed = allowed


class PreconditionRequired(SongsError):
    """A change does not name the version of the record that it applies to."""

    code = "precondition_required"
    summary = "Send If-Match with the ETag of the song as you read it, or * to change any version."


class LengthRequired(SongsError):
    """A body is required, and the request announces none."""

    code = "length_required"
    summary = "Send a body, with a Content-Length header or in chunks."


class BodyTooLarge(SongsError):
    """The body is larger than the limit."""

    code = "body_too_large"
    summary = "The body is too large."


class UnsupportedMediaType(SongsError):
    """The media type or encoding of the body is not supported here."""

    code = "unsupported_media_type"
    summary = "Send the body as application/json, in UTF-8, without Content-Encoding."


class BodyTimeout(SongsError):
    """The body was not received in time."""

    code = "body_timeout"
    summary = "The body was not received in time; send it at once."


class TooManyBodies(Overloaded):
    """The maximum number of bodies is being received; nothing of this one was read."""

    code = "too_many_bodies"
    summary = "Too many requests are sending their bodies; try again soon."


MALFORMED_QUERY: Final = "The query string cannot be read: {}."


Model = TypeVar("Model", bound=BaseModel)
Check = Callable[[Mapping[str, Any]], Iterable[FieldError]]
"""Returns what is wrong with the members of an object, judging only those whose type is right."""

STRICT: Final = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
Count = Annotated[int, Field(ge=0)]
MAX_POINTER: Final = 100
MAX_FAULTS: Final = 100
_FAR: Final = 1_000

_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}


def _whole(number: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    """Return a number such as 3.0 or 1e1 as the integer that it is; anything else unchanged."""
    # Compared first: an integer of 1e999999 would have a million digits.
    if isinstance(number, Decimal) and -_FAR <= number <= _FAR and number == number.to_integral_value():
        return int(number)
    return number


WHOLE: Final = BeforeValidator(_whole)


def request_config(example: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a request model, with an example for OpenAPI."""
    return ConfigDict(**STRICT, json_schema_extra={"examples": [example]})


def answer_config(example: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a response model. That it has no other members is tested, and is no promise."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [example]})


def validated(model: type[Model], value: Any, check: Check | None = None) -> Model:  # noqa: ANN401 - any JSON value
    """Return `value` as a `model`.

    Args:
        model: Its type.
        value: Parsed JSON.
        check: Finds more faults in an object, whatever the model finds: so that all of them are named at once.

    Raises:
        InvalidInput: It is not one. At most `MAX_FAULTS` faults are named, by JSON pointer; none repeats what was sent.
    """
    found: dict[str, FieldError] = {}
    try:
        valid = model.model_validate(value)
        if check is None:
            return valid
    except ValidationError as error:
        valid = None
        for fault in error.errors(include_input=False, include_url=False, include_context=False)[:MAX_FAULTS]:
            pointer = _pointer(fault["loc"])
            found[pointer] = FieldError(pointer, _MESSAGES.get(fault["type"]) or _lowered(fault["msg"]))
    if check is not None and isinstance(value, dict):
        found = {fault.pointer: fault for fault in check(value)} | found
    if valid is None or found:
        raise InvalidInput(list(found.values()))
    return valid


def _pointer(location: Iterable[int | str]) -> str:
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in escaped)[:MAX_POINTER]


def _lowered(message: str) -> str:
    text = message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return text[:1].lower() + text[1:]


MAX_DEPTH: Final = 32
MAX_NUMBER: Final = 25
"""The longest number, in characters: the shortest form of every double fits, and arithmetic on it stays exact."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value that `body` says; a number with a fraction or an exponent as Decimal.

    Raises:
        Malformed: It is not one whole JSON text in UTF-8, or it is deeper or has longer numbers than is accepted.
    """
    _check_depth(body)
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed("The body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error.msg} at character {error.pos}.") from error
    if _SURROGATE_ESCAPE.search(body):
        _check_surrogates(value)
    return value


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Malformed(f"The body is nested more than {MAX_DEPTH} deep.")
        elif first in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("The body has an object with two members of one name.")
    return members


def _no_constant(_: str) -> NoReturn:
    raise Malformed("The body is not JSON: NaN and Infinity are not numbers.")


def _check_number(text: str) -> None:
    if len(text) > MAX_NUMBER:
        raise Malformed(f"The body has a number of more than {MAX_NUMBER} characters.")


def _integer(text: str) -> int:
    _check_number(text)
    return int(text)


def _decimal(text: str) -> Decimal:
    _check_number(text)
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise Malformed("The body has a number whose exponent is out of range.") from error


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("The body has half of a surrogate pair.") from error


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_decimal, parse_int=_integer
)
