"""env.sample is held to the settings models: every variable, with its default and its sentence."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from songs_api.settings.parsing import is_secret
from songs_api.settings.resolve import prefix_of
from songs_api.settings.service import GROUPS, PREFIX
from songs_plugins.registry import Registry

# Adapters whose drivers are extras, and may be missing where the tests run.
LATER = ("SONGS_MONGO_", "SONGS_POSTGRES_", "SONGS_REDIS_")


def _models() -> list[tuple[str, type[BaseModel]]]:
    ours = [state for state in Registry().survey() if state.distribution == "songs-api"]
    adapters = [(prefix_of(state.name), spec.settings) for state in ours for spec in state.adapters]
    return [*((PREFIX, group) for group in GROUPS.values()), *adapters]


def _sample(project_root: Path) -> dict[str, tuple[str, str]]:
    """Return each variable's value and the comment above it."""
    text = (project_root / "env.sample").read_text(encoding="utf-8")
    found = {}
    for block in text.split("\n\n"):
        *comment, last = block.strip().splitlines()
        if match := re.fullmatch(r"#(SONGS_[A-Z0-9_]+)=(.*)", last):
            found[match[1]] = (match[2], " ".join(line.removeprefix("# ") for line in comment))
    return found


def test_every_variable_is_there_and_no_other(project_root: Path) -> None:
    """A setting that the sample does not name is not found by anyone."""
    known = {prefix + name.upper() for prefix, model in _models() for name in model.model_fields}
    sample = set(_sample(project_root))

    assert known - sample == set()
    assert {name for name in sample - known if not name.startswith(LATER)} == set()


def test_a_setting_is_in_one_group() -> None:
    """In two, one variable would set both, and lists would show it twice."""
    names = [name for group in GROUPS.values() for name in group.model_fields]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(("prefix", "model"), _models(), ids=lambda value: getattr(value, "__name__", value))
def test_the_sample_says_what_the_models_say(project_root: Path, prefix: str, model: type[BaseModel]) -> None:
    """The default and the description of each field; secrets and what depends on the machine have no value."""
    sample = _sample(project_root)
    for name, info in model.model_fields.items():
        value, comment = sample[prefix + name.upper()]
        assert info.description, f"{prefix}{name.upper()} has no description"
        assert comment.startswith(info.description)
        if is_secret(info) or info.default_factory is not None or info.default in (None, ()):
            assert value == ""
        else:
            assert value == str(info.get_default())
        assert not is_secret(info) or f"{prefix}{name.upper()}_FILE" in comment


def test_the_sample_sets_nothing(project_root: Path) -> None:
    """Copied as it is, it changes nothing: each line is a comment."""
    lines = (project_root / "env.sample").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []
