"""`songs users`."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from songs.ports.clock import Deadline
from songs.ports.storage import Scope
from songs_system.system import SystemClock

Songs = Callable[..., Any]

PASSWORD = "a long pass phrase"


@pytest.fixture
def add(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Add a user with a password on standard input."""

    def call(*arguments: str, password: str = PASSWORD) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        return songs("users", "add", *arguments, "--password-stdin")

    return call


def test_users_are_added_and_listed(songs: Songs, add: Callable[..., Any]) -> None:
    """With their role; no hash and no password is printed."""
    assert add("ada", "--role", "admin").out == "added ada (admin)\n"
    assert add("bob").status == 0

    listed = json.loads(songs("users", "list", "--json").out)
    assert [(user["name"], user["role"], user["disabled"]) for user in listed] == [
        ("ada", "admin", False),
        ("bob", "user", False),
    ]
    assert [line.split()[:3] for line in songs("users", "list").out.splitlines()[1:]] == [
        ["ada", "admin", "active"],
        ["bob", "user", "active"],
    ]


def test_a_user_is_disabled_enabled_and_promoted(songs: Songs, add: Callable[..., Any]) -> None:
    """Each says how the user is now, also when nothing had to be done."""
    add("ada")

    assert songs("users", "disable", "ADA").out == "ada is disabled now\n"
    assert songs("users", "disable", "ada").out == "ada is disabled now\n"
    assert songs("users", "enable", "ada").out == "ada is active now\n"
    assert songs("users", "role", "ada", "editor").out == "ada is editor now\n"


def test_a_password_is_set_anew(songs: Songs, add: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever runs the service, without the old one; the new one is held to the same rules."""
    add("ada")
    before = _hash("ada")

    def set_password(name: str, password: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
        return songs("users", "password", name, "--password-stdin")

    assert set_password("ADA", "another long phrase").out == "ada has another password now\n"
    assert _hash("ada") != before
    for refused in (set_password("ada", "password1"), set_password("ada", "short"), set_password("nobody", PASSWORD)):
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert "short" not in refused.err


def _hash(name: str) -> str:
    storage = sys.modules["keeper_songs"].KEPT
    with storage.unit_of_work(Scope.READ, deadline=Deadline.after(SystemClock(), 3.0)) as unit:
        return str(unit.users.by_name(name).password_hash)


def test_what_is_wrong_with_a_user_is_one_line(songs: Songs, add: Callable[..., Any]) -> None:
    """A taken or impossible name, a short or missing password, an unknown user or role: status 2, no password in it."""
    add("ada")

    for ran in (
        add("Ada"),
        add("a b"),
        add("bob", password="short"),
        add("bob", password=""),
        add("bob", password="password1"),
        add("bob.bobson", password="bob.bobson1"),
        songs("users", "role", "nobody", "admin"),
        songs("users", "role", "ada", "king"),
        songs("users", "disable"),
    ):
        assert ran.status == 2, ran
        assert ran.err.count("\n") == 1, ran
        assert ran.err.startswith("songs: ")
        assert "short" not in ran.err


def test_a_password_is_no_argument(songs: Songs) -> None:
    """It would be in the shell's history and in every list of processes."""
    assert songs("users", "add", "ada", "secret-word").status == 2


def test_without_a_terminal_the_password_is_not_asked_for(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script is told of --password-stdin instead of waiting for ever."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    assert "--password-stdin" in songs("users", "add", "ada").err


def test_a_terminal_of_another_encoding_is_one_line(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed there is no password that anyone could sign in with, and no defect."""
    terminal, ours = os.openpty()
    with open(ours, encoding="utf-8") as typed:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdin", typed)
        for errors in ("strict", "surrogateescape"):
            monkeypatch.setattr(
                typer, "prompt", lambda *_, errors=errors, **__: b"\xff pass phrase".decode(errors=errors)
            )
            ran = songs("users", "add", "ada")
            assert (ran.status, ran.audit) == (2, [])
            assert ran.err == "songs: the password cannot be read from the terminal: it is not UTF-8 text\n"
    os.close(terminal)


@pytest.mark.parametrize("given", [b"a \xff long pass phrase\n", b"\xff\xfea\0"], ids=["latin-1", "utf-16"])
def test_a_password_that_is_not_utf_8_is_one_line(
    songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bytes
) -> None:
    """Whatever the encoding of the terminal: nobody could sign in with what it would have become."""
    (tmp_path / "password").write_bytes(given)
    for errors in ("strict", "surrogateescape"):
        with (tmp_path / "password").open(encoding="utf-8", errors=errors) as file:
            monkeypatch.setattr(sys, "stdin", file)
            ran = songs("users", "add", "ada", "--password-stdin")
        assert (ran.status, ran.audit) == (2, [])
        assert ran.err == "songs: the password cannot be read from standard input: it is not UTF-8 text\n"
