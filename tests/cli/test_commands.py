"""The command line as a whole: what it lists, how it refuses, and what a defect looks like."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from tests.running import HANGS_S

from songs_api.http.app import openapi_document

Songs = Callable[..., Any]

BROKEN = "import a_driver_that_is_not_installed\n"


def test_plugins_lists_the_broken_with_the_others(songs: Songs, distribution: Callable[[str, str], None]) -> None:
    """A third party's broken distribution has its reason in the list, and everything else works."""
    distribution("acme", BROKEN)

    ran = songs("plugins")
    rows = {line.split()[0]: line for line in ran.out.splitlines()}

    assert ran.status == 0
    assert "broken" in rows["acme"]
    assert "a_driver_that_is_not_installed" in rows["acme"]
    assert "acme-songs" in rows["acme"]
    assert " ok " in rows["memory"]
    assert songs("prepare").status == 0


def test_plugins_prints_json(songs: Songs, distribution: Callable[[str, str], None]) -> None:
    """One object an adapter, with its capabilities, or with its problem."""
    distribution("acme", BROKEN)

    found = {(item["name"], item["port"]): item for item in json.loads(songs("plugins", "--json").out)}

    assert found["keeper", "storage"]["capabilities"]["durable"] is True
    assert found["keeper", "storage"]["version"] == "1.0"
    assert found["acme", None]["state"] == "broken"


def test_a_broken_adapter_that_is_selected_is_one_line(
    songs: Songs, distribution: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the setting, the distribution and what to install."""
    distribution("acme", BROKEN)
    monkeypatch.setenv("SONGS_STORAGE", "acme")

    ran = songs("prepare")

    assert ran.status == 2
    assert ran.err.startswith("songs: SONGS_STORAGE: the adapter 'acme' of acme-songs")
    assert "pip install" in ran.err
    assert ran.err.count("\n") == 1


def test_config_lists_values_and_sources_without_secrets(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets are masked, in the table and in JSON."""
    secret = "abcdefghijklmnopqrstuvwxyz0123456789"
    monkeypatch.setenv("SONGS_JWT_SECRET", secret)

    as_json = songs("config", "--json")
    found = {item["name"]: (item["value"], item["source"]) for item in json.loads(as_json.out)}

    assert found["SONGS_STORAGE"] == ("keeper", "environment")
    assert found["SONGS_PORT"] == ("8000", "default")
    assert found["SONGS_JWT_SECRET"] == ("********", "environment")
    assert secret not in as_json.out + songs("config").out


def test_wrong_settings_are_told_line_by_line(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, each on a line with its variable; status 2."""
    monkeypatch.setenv("SONGS_PORT", "many")
    monkeypatch.setenv("SONGS_DEADLINE_S", "-1")
    monkeypatch.setenv("SONGS_WORKRES", "2")

    ran = songs("config")

    assert ran.status == 2
    assert [line.split()[1].rstrip(":") for line in ran.err.splitlines()] == [
        "SONGS_WORKRES",
        "SONGS_PORT",
        "SONGS_DEADLINE_S",
    ]


@pytest.mark.parametrize(
    "arguments",
    [("dance",), ("--nosuch",), ("serve", "--port", "many"), ("serve", "--port", "70000"), ("import",), ("users", "x")],
)
def test_a_wrong_call_is_one_line(songs: Songs, arguments: tuple[str, ...]) -> None:
    """Exit status 2, no traceback, and where to look."""
    ran = songs(*arguments)

    assert ran.status == 2
    assert ran.err.startswith("songs: ")
    assert ran.err.count("\n") == 1
    assert "--help" in ran.err


def test_the_demo_catalogue_must_be_readable(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the variable, before any server starts; what does not count in a demo is told before it."""
    monkeypatch.setenv("SONGS_DEMO_CATALOGUE", "nosuch.jsonl")

    ran = songs("demo", "--port", "0")

    assert (ran.status, ran.err) == (
        2,
        (
            "songs: warning: SONGS_STORAGE is 'keeper', and does not count here: a demo has 'memory'\n"
            "songs: SONGS_DEMO_CATALOGUE: nosuch.jsonl cannot be read: No such file or directory\n"
        ),
    )


def test_a_missing_contract_kit_says_what_to_install(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit's libraries are an extra."""
    monkeypatch.setitem(sys.modules, "songs_contract.run", None)

    ran = songs("contract", "memory")

    assert ran.status == 2
    assert "pip install 'songs-api[contract]'" in ran.err


def test_openapi_is_printed(songs: Songs) -> None:
    """The same document that the service serves."""
    assert json.loads(songs("openapi").out) == json.loads(openapi_document())


def test_the_version_is_printed(songs: Songs) -> None:
    """The distribution's."""
    assert songs("--version").out == f"songs-api {version('songs-api')}\n"


def test_without_a_command_there_is_help(songs: Songs) -> None:
    """Every command is in it."""
    ran = songs()

    assert ran.status == 0
    for name in ("demo", "serve", "prepare", "import", "export", "users", "plugins", "contract", "openapi", "config"):
        assert name in ran.out


def test_a_defect_can_be_reported(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody expected keeps its trace, and has a status of its own."""

    def broken(heads: Any, rows: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys.modules["songs_api.cli.inspecting"], "print_table", broken)
    ran = songs("config")

    assert ran.status == 70
    assert "Traceback" in ran.err
    assert "please report" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_cannot_be_written_is_one_line() -> None:
    """A full disk under the standard output is told like any other mistake, and is no defect."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "from songs_api.cli import main; main()", "openapi"]
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=HANGS_S)

    assert done.returncode == 2
    assert done.stderr.startswith("songs: standard output cannot be written: ")
    assert done.stderr.count("\n") == 1


def test_an_extra_that_is_not_installed_is_not_broken(
    songs: Songs, distribution: Callable[[str, str], None], site: Path
) -> None:
    """Its line is the command that installs it; what lacks a module of its own stays broken."""
    distribution("extra", "import nosuch_driver\n")
    distribution("broken", "import broken_songs.nosuch\n")
    for name in ("extra", "broken"):
        entry_points = site / f"{name}_songs-1.0.dist-info" / "entry_points.txt"
        entry_points.write_text(f"[songs.adapters]\n{name} = {name}_songs [driver]\n")

    lines = {line.split()[0]: line for line in songs("plugins").out.splitlines()}
    listed = {item["name"]: item for item in json.loads(songs("plugins", "--json").out)}

    assert " not installed " in lines["extra"]
    assert lines["extra"].endswith("  pip install 'extra-songs[driver]'")
    assert " broken " in lines["broken"]
    assert listed["extra"]["state"] == "not installed"
    assert listed["extra"]["install"] == "pip install 'extra-songs[driver]'"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["dmo"], "Did you mean 'demo'? See: songs --help"),
        (["--nosuch"], "See: songs --help"),
        (["users", "add", "ada", "--rol"], "(Possible options: --role) See: songs users add --help"),
        (["users", "ad"], "Did you mean 'add'? See: songs users --help"),
        (["users", "role", "ada", "king"], "See: songs users role --help"),
        (["import"], "See: songs import --help"),
        (["serve", "--port", "x"], "See: songs serve --help"),
        (["adapters", "new"], "See: songs adapters new --help"),
    ],
)
def test_a_hint_names_the_command_that_was_meant(songs: Songs, arguments: list[str], hint: str) -> None:
    """What it names exists, and shows what was looked for."""
    ran = songs(*arguments)

    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert ran.err.endswith(f"{hint}\n")
    assert songs(*hint.rpartition("See: songs ")[2].split()).status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--port", "x"], "--port: must be a whole number."),
        (["serve", "--port", "99999"], "--port: must be at most 65535."),
        (["serve", "--workers", "0"], "--workers: must be at least 1."),
        (["serve", "--server", "x"], "--server: must be 'granian' or 'gunicorn'."),
        (["users", "add", "ada", "--role", "king"], "--role: must be 'user', 'editor' or 'admin'."),
        (["users", "role", "ada", "king"], "ROLE: must be 'user', 'editor' or 'admin'."),
        (["contract", "none", "--patience", "x"], "--patience: must be a number."),
        (["contract", "none", "--seed", "x"], "--seed: must be a whole number."),
    ],
)
def test_a_wrong_value_is_refused_in_our_words(songs: Songs, arguments: list[str], said: str) -> None:
    """As a wrong setting is."""
    ran = songs(*arguments)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"songs: {said} See: songs ")


def test_completion_is_installed_and_completes(tmp_path: Path) -> None:
    """--install-completion writes what the shell loads, and what it then asks for is answered with commands."""
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "SHELL": "/bin/bash",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    program = [sys.executable, "-m", "songs_api"]

    def ran(*arguments: str, **variables: str) -> str:
        return subprocess.run(
            [*program, *arguments],
            env={**environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=HANGS_S,
        ).stdout

    assert "completion installed" in ran("--install-completion", "bash")
    assert any("_SONGS_COMPLETE" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    words = {"COMP_WORDS": "songs exp", "COMP_CWORD": "1"}
    completed = ran(_SONGS_COMPLETE="complete_bash", **words)
    assert "export" in completed
