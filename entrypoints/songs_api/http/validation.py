"""From parsed input to checked models, with every fault named and nothing of the input repeated."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from songs.errors import FieldError, InvalidInput

Model = TypeVar("Model", bound=BaseModel)
Check = Callable[[Mapping[str, Any]], Iterable[FieldError]]
"""Returns what is wrong with the members of an object, judging only those whose type is right."""

STRICT: Final = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
MAX_POINTER: Final = 100
MAX_FAULTS: Final = 100

_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "model_type": "must be an object",
    "dict_type": "must be an object",
}


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
