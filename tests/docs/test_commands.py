"""Commands in the documents can be typed as written."""

import configparser
import functools
import io
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if path.name != "CHANGELOG.md")
_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
_SEPARATORS = {"&&", "||", "|", ";", "&", "(", ")"}
_FROM_A_CHECKOUT = ("requirements/", ".ci/", "tests/", "benchmarks/", "examples/", "docs/")


def _commands(markdown: str) -> Iterator[list[str]]:
    for block in _BLOCK.finditer(markdown):
        lines = block["body"].replace("\\\n", " ").splitlines()
        prompts = any(line.startswith("$ ") for line in lines)
        for line in lines:
            if not prompts or line.startswith("$ "):
                yield from _simple_commands(line.removeprefix("$ "))


def _simple_commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in (*lexer, ";"):
        if word not in _SEPARATORS:
            if command or not re.match(r"[A-Z_]+=", word):
                command.append(word)
        elif command:
            yield command
            command = []


@functools.cache
def _help(*words: str) -> str | None:
    """What `songs WORDS --help` prints; None where there is no such command."""
    from songs_api.cli import run  # noqa: PLC0415 - beside its only use

    # In this process: one of its own takes a second to import everything, and shows nothing more.
    printed = io.StringIO()
    plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    with patch.dict(os.environ, plain), redirect_stdout(printed), redirect_stderr(io.StringIO()):
        status = run([*words, "--help"])
    return printed.getvalue() if status == 0 else None


def _complaint_about_songs(words: list[str]) -> str | None:
    path: tuple[str, ...] = ()
    while len(path) < len(words) and re.fullmatch(r"[a-z][a-z-]*", words[len(path)]):
        longer = (*path, words[len(path)])
        # An argument answers --help like the command it belongs to.
        if _help(*longer) is None or (path and _help(*longer) == _help(*path)):
            break
        path = longer
    if words and not path and not words[0].startswith("-"):
        return f"songs has no command {words[0]}"
    text = _help(*path) or ""
    unknown = [
        word for word in words if word.startswith("--") and word.partition("=")[0] not in re.findall(r"--[\w-]+", text)
    ]
    return f"songs {' '.join(path)} has no option {unknown[0]}" if unknown else None


def _complaint_about_tox(words: list[str]) -> str | None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    named = [name for flag, value in pairwise(words) if flag == "-e" for name in value.split(",")]
    missing = [name for name in named if f"testenv:{name}" not in config]
    return f"tox.ini has no environment {missing[0]}" if missing else None


def _complaint_about_pip(words: list[str]) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.findall(r"(?:^|\s)(?:\.|songs-api)\[([\w,]+)\]", " ".join(words))
    missing = [extra for group in wanted for extra in group.split(",") if extra not in project["optional-dependencies"]]
    return f"pyproject.toml has no extra {missing[0]}" if missing else None


def _complaint(command: list[str]) -> str | None:
    """Why the command cannot work in this project; None where nothing is known against it."""
    program, words = command[0].rpartition("/")[2], command[1:]
    for word in command:
        path = word.removeprefix("./").partition("::")[0]
        if path.startswith(_FROM_A_CHECKOUT) and "*" not in path and not (ROOT / path).exists():
            return f"there is no {path}"
    match program:
        case "songs" if find_spec("songs_api.cli"):
            return _complaint_about_songs(words)
        case "tox":
            return _complaint_about_tox(words)
        case "pip":
            return _complaint_about_pip(words)
        case _:
            return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_exists_as_written(document: Path) -> None:
    """Commands, options, environments, extras and files that a shell block names are there."""
    commands = list(_commands(document.read_text(encoding="utf-8")))

    assert [f"{shlex.join(command)}: {why}" for command in commands if (why := _complaint(command))] == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("python3 -m venv .venv && .venv/bin/tox run -e nonsense", "tox.ini has no environment nonsense"),
        ("X=1 .venv/bin/pip install '.[mongo,cassandra]'", "pyproject.toml has no extra cassandra"),
        ("$ ./requirements/lick --upgrade", "there is no requirements/lick"),
        ("pytest tests/nowhere/test_x.py::test_y", "there is no tests/nowhere/test_x.py"),
    ],
)
def test_a_wrong_command_is_noticed(line: str, why: str) -> None:
    """The check above can fail."""
    commands = list(_commands(f"```sh\n{line}\n```\n"))

    assert why in [_complaint(command) for command in commands]


@pytest.mark.skipif(not find_spec("songs_api.cli"), reason="the command line is not written yet")
@pytest.mark.parametrize(
    ("line", "why"),
    [("songs dance", "songs has no command dance"), ("songs demo --louder", "songs demo has no option --louder")],
)
def test_a_wrong_songs_command_is_noticed(line: str, why: str) -> None:
    """The command line is asked what it knows."""
    assert _complaint(shlex.split(line)) == why


def test_the_first_screen_is_there(project_root: Path) -> None:
    """README shows how to run the service and how to test it in shell blocks."""
    readme = (project_root / "README.md").read_text(encoding="utf-8")
    programs = [command[0].rpartition("/")[2] for command in _commands(readme)]

    assert {"songs", "tox"} <= set(programs)
