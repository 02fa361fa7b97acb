"""Environment variables, their sources, and errors in them."""

import io
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from dotenv.parser import parse_stream

from songs_api.settings.service import PREFIX


class SettingsError(Exception):
    """Settings are wrong; `problems` has one line for each, with the variable's name and without secrets."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


# Variables of the test suites, which say where real servers are.
_NOT_OURS: Final = PREFIX + "TEST_"
# Names that a server which copies its environment into each request would take for parts of the request.
_CGI: Final = frozenset(
    {"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "QUERY_STRING", "REMOTE_USER", "SCRIPT_NAME"}
)


_MAX_FILE_BYTES: Final = 1_000_000


class Source(StrEnum):
    """The source of a setting's value."""

    DEFAULT = "default"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    FILE = "file"
    OPTION = "option"
    GENERATED = "made at start"


@dataclass(frozen=True, slots=True)
class Variable:
    """A value, as text, and its source."""

    text: str = field(repr=False)
    source: Source


@dataclass(frozen=True, slots=True)
class Variables:
    """All variables that are set. Holds secrets; can be pickled for another process."""

    found: Mapping[str, Variable] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: Path | None = None) -> Self:
        """Return what the environment and the file ``.env`` in `folder` (default: the working directory) set.

        The environment comes before the file. An empty value counts as not set.

        Raises:
            SettingsError: ``.env`` cannot be read.
        """
        path = (folder or Path.cwd()) / ".env"
        try:
            in_file = _in_file(path)
        except (OSError, UnicodeDecodeError) as error:
            msg = f".env cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
            raise SettingsError([msg]) from error
        found = {
            name: Variable(text, source)
            for source, texts in ((Source.DOTENV, in_file), (Source.ENVIRONMENT, os.environ))
            for name, text in texts.items()
            if text and name.startswith(PREFIX) and not name.startswith(_NOT_OURS)
        }
        return cls(found)

    def __getitem__(self, name: str) -> Variable:
        return self.found[name]

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def get(self, name: str) -> str | None:
        """Return the text of a variable, or None where it is not set."""
        return self.found[name].text if name in self.found else None

    def replacing(self, texts: Mapping[str, str | None], source: Source = Source.OPTION) -> Self:
        """Return these variables, with those in `texts` that are not None replaced."""
        changed = {name: Variable(text, source) for name, text in texts.items() if text is not None}
        return type(self)({**self.found, **changed})

    def without(self, names: set[str]) -> Self:
        """Return these variables but for `names`."""
        return type(self)({name: variable for name, variable in self.found.items() if name not in names})


def _in_file(path: Path) -> dict[str, str | None]:
    """Return what a file in the form of ``.env`` sets, each value as it is written: ``$`` has no meaning in it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return {}
    if len(content) > _MAX_FILE_BYTES:
        raise SettingsError([f".env cannot be read: it is longer than {_MAX_FILE_BYTES} bytes"])
    bindings = list(parse_stream(io.StringIO(content.decode("utf-8-sig"))))
    broken = [
        f".env, line {each.original.line}: cannot be read; write NAME=value"
        for each in bindings
        if each.error or "\0" in each.original.string
    ]
    if broken:
        raise SettingsError(broken)
    return {each.key: each.value for each in bindings if each.key is not None}


def scrub(environ: MutableMapping[str, str] = os.environ) -> None:
    """Remove from `environ` all settings, and all that a server could take for a part of a request.

    granian copies the process's environment into every request's: a secret would be in it, and ``HTTP_AUTHORIZATION``
    would become a header of every request without one.
    """
    for name in list(environ):
        if name.startswith((PREFIX, "HTTP_", "wsgi.")) or name in _CGI:
            del environ[name]
