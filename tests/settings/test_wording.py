"""What is said of wrong settings, and what is shown of right ones."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from songs_api.settings import Settings, SettingsError
from songs_api.settings.parsing import masked, message_of, read
from songs_api.settings.resolve import prefix_of
from songs_api.settings.service import GROUPS, PREFIX, Deployment
from songs_api.settings.variables import Source, Variables
from songs_plugins.registry import PluginError, Registry

Resolve = Callable[..., Settings]

WRONG = [
    "",
    "x",
    "-1",
    "8.5",
    "nan",
    "inf",
    "1e400",
    "9" * 30,
    "9" * 5000,
    "yes",
    "\0",
    "http://",
    "a b",
    "é",
    "[]",
    "0",
]
PYDANTIC = re.compile(
    r"\b(?:[Ii]nput|[Ss]tring|valid|pydantic|parse|should|integer|boolean|Value|unable|type)\b|https?://errors"
)


def _models() -> list[tuple[str, type[BaseModel]]]:
    registry = Registry()
    found: list[tuple[str, type[BaseModel]]] = [(PREFIX, group) for group in GROUPS.values()]
    for name in registry.names():
        try:
            found += [(prefix_of(name), spec.settings) for spec in registry.load(name)]
        except PluginError:  # its driver is an extra
            continue
    return list(dict.fromkeys(found))


SETTINGS = [
    pytest.param(prefix, model, name, id=prefix + name.upper())
    for prefix, model in _models()
    for name in model.model_fields
]


@pytest.mark.parametrize(("prefix", "model", "name"), SETTINGS)
def test_every_setting_is_refused_in_our_words(prefix: str, model: type[BaseModel], name: str) -> None:
    """Whatever is wrong with it: the variable, a colon, and a sentence that no library wrote."""
    for text in WRONG:
        variables = Variables().replacing({prefix + name.upper(): text}, Source.ENVIRONMENT)
        for problem in read(model, prefix, variables).problems:
            if problem.startswith(prefix + name.upper()):
                said = problem.removeprefix(f"{prefix}{name.upper()}: ").replace(text or "\x01", "")
                assert said[:1].islower() or said[:1] == "'"
                assert not PYDANTIC.search(said), problem


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("SONGS_PORT", "http", "must be a whole number"),
        ("SONGS_PORT", "80.5", "must be a whole number"),
        ("SONGS_PORT", "8001.0", "must be a whole number"),
        ("SONGS_PORT", "8_001", "must be a whole number"),
        ("SONGS_PORT", "70000", "must be at most 65535"),
        ("SONGS_WORKERS", "0", "must be at least 1"),
        ("SONGS_DEADLINE_S", "soon", "must be a number"),
        ("SONGS_DEADLINE_S", "nan", "must be at most 60"),
        ("SONGS_DEADLINE_S", "0", "must be more than 0"),
        ("SONGS_DEADLINE_S", "inf", "must be at most 60"),
        ("SONGS_ENVIRONMENT", "staging", "must be 'development' or 'production'"),
        ("SONGS_MAX_BODY_BYTES", "99999999", "must be at most 16777216"),
    ],
)
def test_a_wrong_setting_says_what_it_must_be(settings: Resolve, name: str, text: str, said: str) -> None:
    """Numbers, their bounds, and the words that there are."""
    with pytest.raises(SettingsError) as caught:
        settings({name: text})

    assert caught.value.problems == (f"{name}: {said}",)


def test_an_error_without_words_of_ours_tells_what_the_setting_means() -> None:
    """A stranger's settings may have any type: pydantic's own words are not passed on."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, int]).validate_python("x")
    (error,) = caught.value.errors()

    assert message_of(error, None) == "is not a value that it can have"
    described = Deployment.model_fields["host"]
    assert message_of(error, described) == "is not a value that it can have (The address to listen on)"
    assert message_of(ErrorDetails(type="value_error", loc=(), msg="", input=""), described).startswith("is not")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:s3cret@localhost/0", "redis://********@localhost/0"),
        ("redis://t0ken@localhost", "redis://********@localhost"),
        ("unix:///run/redis.sock?db=1&password=s3cret", "unix:///run/redis.sock?db=1&password=********"),
        ("mongodb://a:s3cret@h1:27017,h2/?replicaSet=rs0", "mongodb://********@h1:27017,h2/?replicaSet=rs0"),
        ("mongodb://a:s3/cret@h1", "********"),
        ("mongodb://a:s3@cret@h1", "********"),
        ("mongodb://a:s3?cret@h1", "********"),
        ("mongodb://a:s3#cret@h1", "********"),
        ("mongodb://h/?authMechanismProperties=TOKEN:s3cret", "mongodb://h/?authMechanismProperties=********"),
        ("redis://[::1]:6379?s3cret", "redis://[::1]:6379?********"),
        ("s3cret", "********"),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(text: str, shown: str) -> None:
    """Where a service looks for its servers can be read; who it is there cannot, however wrongly it is written."""
    assert masked("url", text) == shown
    assert masked("secret", text) == "********"


def test_the_file_of_a_storage_is_shown_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absolute path, as given and by default."""
    model = next(spec.settings for spec in Registry().load("sqlite"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))

    (given,) = read(model, "X_", Variables().replacing({"X_PATH": "songs.db"}, Source.ENVIRONMENT)).entries
    (default,) = read(model, "X_", Variables()).entries

    assert given.value == str(tmp_path / "songs.db")
    assert default.value.startswith(str(tmp_path))
    assert default.value.endswith("songs-api/songs.db")
