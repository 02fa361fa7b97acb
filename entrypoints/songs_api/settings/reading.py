"""From variables to one settings model, with all that is wrong at once."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from songs_api.settings.showing import MASK, masked, shown_text
from songs_api.settings.variables import Source, Variables
from songs_api.settings.wording import NO_WHOLE_NUMBER, message_of

M = TypeVar("M", bound=BaseModel)

_MAX_SECRET_BYTES: Final = 65_536
_SHORTEST_HIDDEN: Final = 4
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting, for lists: its variable, what it is set to (a secret masked), from where, and what it means."""

    name: str
    value: str
    source: Source
    secret: bool
    description: str = ""


@dataclass(slots=True)
class Reading(Generic[M]):
    """What came of reading one model: the model unless there are problems."""

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


def read(model: type[M], prefix: str, variables: Variables) -> Reading[M]:
    """Return the model as the variables that begin with `prefix` set it."""
    reading: Reading[M] = Reading()
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
        # Of a secret whose file cannot be used that is told already.
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
    error: ValidationError, model: type[BaseModel], prefix: str, secrets: set[str], told: set[str]
) -> list[str]:
    problems = []
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        variable = prefix + name.upper()
        if item["type"] == "missing":
            if name in told:
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
