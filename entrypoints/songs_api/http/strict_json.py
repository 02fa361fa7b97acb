"""JSON as RFC 8259 has it, and nothing more: the parser for what strangers send.

The standard library's parser accepts NaN and Infinity, keeps the last of several equal names, lets lone surrogates
through, and recurses as deep as the text does. Each of these is refused here.
"""

import json
import re
from decimal import Decimal
from typing import Any, Final, NoReturn

from songs_api.http.failures import Malformed

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
