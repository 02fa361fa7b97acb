"""The audit trail of commands that change songs or users: one line each on standard error."""

import io
import json
import os
import sys
import syslog
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from songs_api.cli import session as audit
from songs_api.cli import transfer as importing
from songs_api.transfer import import_songs

Songs = Callable[..., Any]

SONG = {"artist": "Anon.", "title": "Greensleeves", "difficulty": 3.5, "level": 2, "released": "1580-09-03"}
PASSWORD = "a long pass phrase"


@pytest.fixture
def told(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """Run a command, with a password on standard input, and return its audit lines."""
    monkeypatch.setattr(audit, "_operator", lambda: "olga")

    def call(*arguments: str) -> list[dict[str, Any]]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
        lines: list[dict[str, Any]] = songs(*arguments).audit
        assert all(line.pop("timestamp") and line.pop("level") == "info" for line in lines)
        return lines

    return call


def _line(action: str, outcome: str = "done", **about: Any) -> dict[str, Any]:
    return {"event": "audit", "action": action, "outcome": outcome, "operator": "olga", **about}


def test_changes_of_users_are_audited(told: Callable[..., Any]) -> None:
    """Who did what to whom, and what came of it; what only looks is no change."""
    assert told("users", "add", "ada", "--role", "admin", "--password-stdin") == [
        _line("add_user", target="ada", role="admin")
    ]
    assert told("users", "add", "ada", "--password-stdin") == [
        _line("add_user", "username_taken", target="ada", role="user")
    ]
    assert told("users", "role", "ada", "editor") == [_line("change_user", target="ada", role="editor")]
    assert told("users", "disable", "ada") == [_line("change_user", target="ada", disabled=True)]
    assert told("users", "enable", "nobody") == [
        _line("change_user", "user_not_found", target="nobody", disabled=False)
    ]
    assert told("users", "password", "ada", "--password-stdin") == [_line("set_password", target="ada")]
    assert told("users", "list") == []


def test_imports_are_audited(told: Callable[..., Any], tmp_path: Path) -> None:
    """With what they came to, and one line however many songs there are."""
    (tmp_path / "songs.jsonl").write_text(f"{json.dumps(SONG)}\n{{}}\n")
    counts: dict[str, Any] = {"added": 1, "updated": 0, "unchanged": 0, "refused": 1}

    assert told("import", "songs.jsonl") == [_line("import_songs", file="songs.jsonl", **counts)]
    assert told("doctor") == []


def test_an_import_that_breaks_off_is_audited(
    told: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored until then is told."""
    (tmp_path / "songs.jsonl").write_text(json.dumps(SONG))

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        import_songs(*arguments, **keywords)
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "import_songs", interrupted)

    (line,) = told("import", "songs.jsonl")

    assert (line["outcome"], line["added"]) == ("KeyboardInterrupt", 1)


def test_a_hostile_name_forges_no_line(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line feeds and control characters in what was given are written as escapes."""
    monkeypatch.setenv("SONGS_LOG_FORMAT", "text")

    ran = songs("users", "disable", "ada\n2026 audit action='forged'\x1b[2J")

    assert len([line for line in ran.err.splitlines() if "audit" in line]) == len(ran.err.splitlines()) - 1
    assert "\x1b[2J" not in ran.err


def test_the_line_goes_to_the_file_that_is_named(songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a change, appended, readable by its owner only; nothing on standard error."""
    monkeypatch.setenv("SONGS_AUDIT_LOG", "audit")

    for _ in range(2):
        ran = songs("users", "disable", "nobody")
        assert (ran.audit, ran.err.count("\n")) == ([], 1)

    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(line["action"], line["target"], line["outcome"]) for line in lines] == [
        ("change_user", "nobody", "user_not_found")
    ] * 2
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_loses_no_line(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is made or refused all the same, and the line is told with the reason."""
    monkeypatch.setenv("SONGS_AUDIT_LOG", "nosuch/audit")

    ran = songs("users", "disable", "nobody")

    assert ran.status == 2
    assert "SONGS_AUDIT_LOG: " in ran.err
    assert "nosuch/audit cannot be written: No such file or directory" in ran.err
    assert '"action":"change_user"' in ran.err


def test_a_pipe_that_nobody_reads_holds_no_command_up(
    songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command did is done: it does not wait to tell of it."""
    os.mkfifo(tmp_path / "audit")
    monkeypatch.setenv("SONGS_AUDIT_LOG", "audit")

    ran = songs("users", "disable", "nobody")

    assert "audit cannot be written: No such device or address" in ran.err
    assert '"action":"change_user"' in ran.err


def test_whoever_typed_the_command_does_not_read_it(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the line goes to the system's log."""
    logged: list[str] = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(syslog, "syslog", lambda _, line: logged.append(line))

    ran = songs("users", "disable", "nobody")

    assert (ran.audit, ran.err.count("\n")) == ([], 1)
    assert [json.loads(line)["action"] for line in logged] == ["change_user"]
