"""What is said of a setting that is wrong, in the words of these documents and not of a library."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

NO_WHOLE_NUMBER: Final = "must be a whole number"


def message_of(error: ErrorDetails, field: FieldInfo | None) -> str:
    """Return what is wrong with a setting, as what follows its name and a colon. It does not repeat the value."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _FOUND_BY_US:
        return str(context.get("error", "")) or _otherwise(field)
    words = _WORDS.get(kind)
    return words(context) if words is not None else _otherwise(field)


def listed(words: Iterable[str]) -> str:
    """Return words in quotation marks, with commas and an "or"."""
    *most, last = [f"'{word}'" for word in words]
    return f"{', '.join(most)} or {last}" if most else last


def _otherwise(field: FieldInfo | None) -> str:
    described = field.description if field is not None else None
    return (
        f"is not a value that it can have ({described.rstrip('.')})" if described else "is not a value that it can have"
    )


def _length(context: Mapping[str, Any], unit: str) -> str:
    least = context.get("min_length", 1)
    return "must not be empty" if least == 1 else f"must have at least {least} {unit}"


def _one_of(context: Mapping[str, Any]) -> str:
    return f"must be {context.get('expected', 'one of its values')}"


def _digits(number: float) -> str:
    return str(int(number) if number == int(number) else number)


def _whole(_: Mapping[str, Any]) -> str:
    return NO_WHOLE_NUMBER


def _number(_: Mapping[str, Any]) -> str:
    return "must be a number"


def _yes_or_no(_: Mapping[str, Any]) -> str:
    return "must be true or false"


_FOUND_BY_US: Final = {"value_error", "assertion_error"}
_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "int_parsing": _whole,
    "int_parsing_size": _whole,
    "int_from_float": _whole,
    "int_type": _whole,
    "float_parsing": _number,
    "float_type": _number,
    "decimal_parsing": _number,
    "finite_number": _number,
    "bool_parsing": _yes_or_no,
    "bool_type": _yes_or_no,
    "greater_than_equal": lambda context: f"must be at least {_digits(context['ge'])}",
    "greater_than": lambda context: f"must be more than {_digits(context['gt'])}",
    "less_than_equal": lambda context: f"must be at most {_digits(context['le'])}",
    "less_than": lambda context: f"must be less than {_digits(context['lt'])}",
    "multiple_of": lambda context: f"must be a multiple of {_digits(context['multiple_of'])}",
    "literal_error": _one_of,
    "enum": _one_of,
    "string_too_short": lambda context: _length(context, "characters"),
    "bytes_too_short": lambda context: _length(context, "bytes"),
    "too_short": lambda context: _length(context, "characters"),
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "bytes_too_long": lambda context: f"must have at most {context['max_length']} bytes",
    "too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_pattern_mismatch": lambda context: f"must have the form {context['pattern']}",
    "path_type": lambda _: "must be a path",
    "string_type": lambda _: "must be text",
    "url_parsing": lambda _: "must be a URL",
    "url_scheme": lambda context: f"must be a URL that begins with {context['expected_schemes']}",
}
