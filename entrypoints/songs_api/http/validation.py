"""From parsed input to checked models, with every fault named and nothing of the input repeated."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from songs.errors import FieldError, InvalidInput

Model = TypeVar("Model", bound=BaseModel)

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


def validated(model: type[Model], value: Any) -> Model:  # noqa: ANN401 - any JSON value
    """Return `value` as a `model`.

    Raises:
        InvalidInput: It is not one. At most `MAX_FAULTS` faults are named, by JSON pointer; none repeats what was sent.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
    raise InvalidInput(
        [
            FieldError(_pointer(fault["loc"]), _MESSAGES.get(fault["type"]) or _lowered(fault["msg"]))
            for fault in faults[:MAX_FAULTS]
        ]
    )


def _pointer(location: Iterable[int | str]) -> str:
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in escaped)[:MAX_POINTER]


def _lowered(message: str) -> str:
    text = message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return text[:1].lower() + text[1:]
