"""Paths that lead nowhere, and folders that are gone: one line and an exit status, whatever the command."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.running import HANGS_S

Songs = Callable[..., Any]

SONG = b'{"artist":"a","title":"b","difficulty":1,"level":1,"released":"2000-01-01"}\n'
NOWHERE = {
    "./missing": "No such file or directory",
    "x//y": "No such file or directory",
    "folder/": "Is a directory",
    "folder/..": "Is a directory",
    "": "Is a directory",
    "file/below": "Not a directory",
    "loop": "Too many levels of symbolic links",
    "loop/below": "Too many levels of symbolic links",
    "x" * 300: "File name too long",
    "\udcff/below": "No such file or directory",
}
UNWRITABLE = {path: why for path, why in NOWHERE.items() if path != "./missing"}


@pytest.fixture
def places(tmp_path: Path) -> None:
    """A folder, a file, and a link that leads to itself."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(SONG)
    (tmp_path / "loop").symlink_to("loop")


def _shown(path: str) -> str:
    return path.replace("\udcff", "\\udcff") or "''"


def _named(path: str) -> str:
    return _shown(path)[:20]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("path", NOWHERE, ids=_named)
def test_a_file_that_cannot_be_imported(songs: Songs, path: str) -> None:
    """Its name as it was given, and the reason."""
    ran = songs("import", path)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"songs: {_shown(path)} cannot be read: {NOWHERE[path]}\n"


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("path", UNWRITABLE, ids=_named)
def test_a_file_that_cannot_be_exported_to(songs: Songs, path: str) -> None:
    """The same; and a link that leads nowhere is left as it is."""
    ran = songs("export", path)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"songs: {_shown(path)} cannot be written: {UNWRITABLE[path]}\n"
    assert Path("loop").is_symlink()


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("file/x", "{here}/file/x cannot be made, as {here}/file is a file and no folder; choose another path."),
        ("file/a/b", "{here}/file/a/b cannot be made, as {here}/file is a file and no folder; choose another path."),
        ("folder", "{here}/folder is a folder; choose the path of a file."),
    ],
)
def test_a_database_that_cannot_be_made(
    songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    """Which part of the path is in the way, and what to do."""
    monkeypatch.setenv("SONGS_STORAGE", "sqlite")
    monkeypatch.setenv("SONGS_SQLITE_PATH", path)

    ran = songs("prepare")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"songs: the storage 'sqlite' cannot be opened: {said.format(here=tmp_path)}\n"


class _Kit:
    """A kit whose report is decided beforehand."""

    def __init__(self, report: bytes | None) -> None:
        self.report = report

    def run_contract(self, name: str, *, junit: Path | None, **_: Any) -> int:
        if self.report is not None and junit is not None:
            junit.write_bytes(self.report)
        return 1


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("path", [path for path in UNWRITABLE if path], ids=_named)
def test_a_report_that_cannot_be_written(songs: Songs, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said before an adapter is held to its contract for minutes."""
    monkeypatch.setattr(importlib, "import_module", lambda _: _Kit(None))

    ran = songs("contract", "none", "--junit", path)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"songs: {_shown(str(Path(path)))} cannot be written: {UNWRITABLE[path]}\n"


@pytest.mark.usefixtures("places")
def test_a_report_is_written_whole_or_not_at_all(songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kit that could not be run leaves the report that was there, and a full disk is told."""
    (tmp_path / "report").write_text("good")
    monkeypatch.setattr(importlib, "import_module", lambda _: _Kit(None))
    assert songs("contract", "none", "--junit", "report").status == 1
    assert (tmp_path / "report").read_text() == "good"

    monkeypatch.setattr(importlib, "import_module", lambda _: _Kit(b"<better/>"))
    full = songs("contract", "none", "--junit", "/dev/full")
    assert (full.status, full.err) == (2, "songs: /dev/full cannot be written: No space left on device\n")
    assert songs("contract", "none", "--junit", "report").status == 1
    assert (tmp_path / "report").read_text() == "<better/>"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder", "loop", "report"]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("path", ["missing", "x//y", "file", "loop"])
def test_a_folder_in_which_no_adapter_can_be_made(songs: Songs, path: str) -> None:
    """One line, and no traceback."""
    ran = songs("adapters", "new", "newcomer", "--into", path)

    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "cannot be made" in ran.err


def test_a_pipe_is_read_to_its_end(songs: Songs, tmp_path: Path) -> None:
    """It has no size and no places to go back to."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(SONG,))
    writer.start()

    ran = songs("import", "pipe")
    writer.join()

    assert (ran.status, ran.out) == (0, "added 1, updated 0, unchanged 0, refused 0\n")


def test_closed_standard_input_is_one_line(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """`<&-` in a shell leaves nothing to read songs or a password from."""
    monkeypatch.setattr(sys, "stdin", None)

    for arguments in (["import", "-"], ["users", "add", "ada"], ["users", "password", "ada", "--password-stdin"]):
        ran = songs(*arguments)
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert "standard input is closed" in ran.err


COMMANDS = {
    "config": ["config"],
    "plugins": ["plugins"],
    "prepare": ["prepare"],
    "import": ["import", "-"],
    "export": ["export"],
    "copy": ["copy", "--from", "sqlite", "--to", "memory"],
    "doctor": ["doctor"],
    "users": ["users", "list"],
    "adapters": ["adapters", "new", "newcomer"],
    "contract": ["contract", "none"],
    "openapi": ["openapi"],
    "serve": ["serve"],
    "demo": ["demo"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_working_folder_that_is_gone(
    songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Every command says so in one line."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    ran = songs(*COMMANDS[command])

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "songs: the working folder is gone (No such file or directory); change to another one\n"


WITHOUT_PRIVILEGES = """
import ctypes, os, sys
folder = sys.argv[1]
os.chdir(folder)
if os.geteuid() == 0:  # who may read everything, until that is given up
    os.chown(folder, 65534, 65534)
    header, data, libc = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(), ctypes.CDLL(None)
    assert libc.capget(header, data) == 0
    data[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, data) == 0
else:
    os.chmod(folder, 0)
from songs_api.cli import run
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"plugins", "openapi", "contract"}))
def test_a_working_folder_that_cannot_be_read(tmp_path: Path, command: str) -> None:
    """Every command that looks for .env, or writes there, says that it cannot."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    try:
        ran = subprocess.run(
            [sys.executable, "-c", WITHOUT_PRIVILEGES, str(closed), *COMMANDS[command]],
            env={name: text for name, text in os.environ.items() if not name.startswith("SONGS_")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGS_S,
        )
    finally:
        closed.chmod(0o700)

    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran.stderr
    assert "Permission denied" in ran.stderr
