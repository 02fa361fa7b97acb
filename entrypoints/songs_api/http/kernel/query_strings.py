"""Query strings: parsed strictly, and checked against the parameters that an operation declares."""

import re
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, BeforeValidator

from songs_api.http.kernel.http_errors import MALFORMED_QUERY, Malformed
from songs_api.http.kernel.validation import STRICT, validated

MAX_DECIMAL: Final = 999_999_999
_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,8}", re.ASCII)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_REMEMBERED: Final = 200
"""Characters of a query string that is remembered."""


def _decimal(text: Any) -> Any:  # noqa: ANN401 - whatever a caller sent
    if isinstance(text, str):
        if not _DECIMAL.fullmatch(text):
            raise ValueError("must be an integer of at most 9 digits")
        return int(text)
    return text


DECIMAL: Final = BeforeValidator(_decimal)


class NoQuery(BaseModel):
    """No parameters."""

    model_config = STRICT


Query = TypeVar("Query", bound=BaseModel)


def read_query(query_string: str, model: type[Query]) -> Query:
    """Return the parameters of a query string, still percent-encoded, as a `model`.

    Raises:
        Malformed: It is not UTF-8, percent-encoded, without NUL, or it has a parameter twice.
        InvalidInput: A parameter is not declared, is missing, or has a value that is not accepted.
    """
    read = _remembered if len(query_string) <= _MAX_REMEMBERED else _read
    # Queries are frozen, so that requests may share them.
    return cast("Query", read(query_string, model))


def _read(query_string: str, model: type[BaseModel]) -> BaseModel:
    return validated(model, _parameters(query_string) if query_string else {})


_remembered = lru_cache(maxsize=1024)(_read)


def _parameters(query_string: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in query_string.split("&"):
        if part:
            name, _, value = part.partition("=")
            name = _decoded(name)
            if name in parameters:
                raise Malformed(MALFORMED_QUERY.format("a parameter occurs twice"))
            parameters[name] = _decoded(value)
    return parameters


def _decoded(text: str) -> str:
    if not text.isascii() or _BROKEN_ESCAPE.search(text):
        raise Malformed(MALFORMED_QUERY.format("its percent-encoding is broken"))
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(MALFORMED_QUERY.format("it is not UTF-8")) from error
    if "\0" in decoded:
        raise Malformed(MALFORMED_QUERY.format("it has a NUL character"))
    return decoded
