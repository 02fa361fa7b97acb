"""Settings as lists show them: the effective values, without the secrets in them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from songs.ports.limiter import RateLimit
from songs_api.settings.service import rate_text
from songs_api.settings.variables import Source, Variables

MASK: Final = "********"

_HOST: Final = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
# A URL in another form, such as with a password that should have been quoted, is masked as a whole.
_URL: Final = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:(?P<who>[^/?#@\s]*)@)?(?P<where>(?:{_HOST}(?:,{_HOST})*)?(?:/[^?#@\s]*)?)"
    r"(?:\?(?P<options>[^#@\s]*))?"
)
_NO_SECRETS: Final = frozenset(
    {
        *("authsource", "directconnection", "replicaset", "retryreads", "retrywrites"),
        *("connect_timeout", "db", "protocol", "ssl", "sslmode", "tls"),
    }
)
"""Options of URLs, in lower case, whose values are shown."""


def shown_text(settings: BaseModel | None, name: str, given: str | None) -> str:
    """Return what a setting comes to: as it was given, or its default; a path is made absolute.

    Args:
        settings: The model; None where it is wrong.
        name: The field.
        given: The text of its variable, if that is set.
    """
    value = getattr(settings, name, None)
    file = getattr(settings, "file", None)
    if name == "path" and callable(file):
        # A storage that is a file says where it is, by default as well.
        try:
            return str(file())
        except RuntimeError:  # there is no home folder to have it in
            return given or ""
    if isinstance(value, Path):
        return str(value.absolute())
    return _default(value) if given is None else given


def _default(value: object) -> str:
    """Return a default as it would be written in a variable."""
    if value is None:
        return ""
    if isinstance(value, RateLimit):
        return rate_text(value)
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, SecretBytes):
        return value.get_secret_value().decode(errors="replace")
    if isinstance(value, tuple | list | set | frozenset):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def masked(name: str, text: str) -> str:
    """Return the text of a secret as it may be shown: of a URL all but who signs in and other options, else none."""
    url = _URL.fullmatch(text) if name == "url" or name.endswith("_url") else None
    if url is None:
        return MASK
    who = "" if url["who"] is None else f"{MASK}@"
    options = "" if url["options"] is None else "?" + "&".join(map(_option, url["options"].split("&")))
    return f"{url['scheme']}{who}{url['where']}{options}"


def _option(option: str) -> str:
    name, equals, _ = option.partition("=")
    if name.lower() in _NO_SECRETS:
        return option
    return f"{name}={MASK}" if equals else MASK


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


M = TypeVar("M", bound=BaseModel)

_MAX_SECRET_BYTES: Final = 65_536
_SHORTEST_HIDDEN: Final = 4
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting, for lists: its variable, value (secrets masked), source and description."""

    name: str
    value: str
    source: Source
    secret: bool
    description: str = ""


@dataclass(slots=True)
class ParsedSettings(Generic[M]):
    """The result of reading one model: the model, or problems."""

    settings: M | None = None
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def is_secret(info: FieldInfo) -> bool:
    """Return whether a field of a settings model holds a secret."""
    return _holds_secret(info.annotation)


def _holds_secret(annotation: object) -> bool:
    # However deep: in a union, in an annotated type, in a list.
    if annotation is SecretStr or annotation is SecretBytes:
        return True
    return any(_holds_secret(each) for each in _parts(annotation))


def _is_whole(annotation: object) -> bool:
    kinds = {each for each in (annotation, *_parts(annotation)) if isinstance(each, type)}
    return int in kinds and kinds <= {int, type(None)}


def _parts(annotation: object) -> tuple[object, ...]:
    # Of an annotated type what is annotated; its other arguments are no types, and some cannot be compared.
    return get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)


def variable_names(model: type[BaseModel], prefix: str) -> dict[str, str]:
    """Return the variables of a model, and the field of each. A secret has two: its own and the one of its file."""
    names = {}
    for name, info in model.model_fields.items():
        names[prefix + name.upper()] = name
        if is_secret(info):
            names.setdefault(f"{prefix}{name.upper()}_FILE", name)
    return names


def read(model: type[M], prefix: str, variables: Variables) -> ParsedSettings[M]:
    """Return the model as the variables that begin with `prefix` set it."""
    reading: ParsedSettings[M] = ParsedSettings()
    texts: dict[str, str] = {}
    sources: dict[str, Source] = {}
    secrets: set[str] = set()
    for name, info in model.model_fields.items():
        variable = prefix + name.upper()
        if variable in variables:
            texts[name] = variables[variable].text
            sources[name] = variables[variable].source
            secrets |= {texts[name]} if is_secret(info) else set()
    try:
        reading.settings = model.model_validate(texts)
    except ValidationError as error:
        # A secret whose file cannot be used has been reported already.
        missing = {name for name in model.model_fields if f"{prefix}{name.upper()}_FILE" in variables}
        reading.problems += _problems(error, model, prefix, secrets, missing)
    for name, text in texts.items():
        problem = f"{prefix + name.upper()}: {NO_WHOLE_NUMBER}"
        # pydantic takes 80.0 and 8_0 for whole numbers as well.
        if _is_whole(model.model_fields[name].annotation) and _WHOLE.fullmatch(text) is None:
            reading.settings = None
            reading.problems += [] if problem in reading.problems else [problem]
    for name, info in model.model_fields.items():
        text = shown_text(reading.settings, name, texts.get(name))
        shown = masked(name, text) if text and is_secret(info) else text
        source = sources.get(name, Source.DEFAULT)
        reading.entries.append(Entry(prefix + name.upper(), shown, source, is_secret(info), info.description or ""))
    return reading


def with_secret_files(model: type[BaseModel], prefix: str, variables: Variables, problems: list[str]) -> Variables:
    """Return the variables with each secret of the model read from its file, where one is named.

    What is wrong is appended to `problems`.
    """
    for name, info in model.model_fields.items():
        if is_secret(info):
            variables = _from_file(prefix + name.upper(), variables, problems)
    return variables


def _from_file(variable: str, variables: Variables, problems: list[str]) -> Variables:
    path = variables.get(variable + "_FILE")
    if path is None:
        return variables
    if variable in variables:
        problems.append(f"{variable} and {variable}_FILE are both set; unset one of them")
        return variables
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        problems.append(f"{variable}_FILE: {path} cannot be read: {reason}")
        return variables
    if len(content) > _MAX_SECRET_BYTES or "\0" in text:
        problems.append(
            f"{variable}_FILE: {path} holds no secret: it is binary, or longer than {_MAX_SECRET_BYTES} bytes"
        )
        return variables
    # As with variables, nothing means not set: containers are given a file for each secret, also for those without one.
    return variables.replacing({variable: text or None}, Source.FILE).without({variable + "_FILE"})


def _problems(
    error: ValidationError, model: type[BaseModel], prefix: str, secrets: set[str], reported: set[str]
) -> list[str]:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        variable = prefix + name.upper()
        if item["type"] == "missing":
            if name in reported:
                continue
            problems.append(f"{variable} is not set{_why(model, name)}")
            continue
        message = message_of(item, model.model_fields.get(name))
        for secret in secrets:
            if len(secret) >= _SHORTEST_HIDDEN:
                message = message.replace(secret, MASK)
        problems.append(f"{variable if name else prefix + '*'}: {message}")
    return list(dict.fromkeys(problems))


def _why(model: type[BaseModel], name: str) -> str:
    info = model.model_fields.get(name)
    return f" ({info.description.rstrip('.')})" if info is not None and info.description else ""
