"""`songs copy` from one SQLite file to another, which a stranger's adapter opens."""

import importlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.running import HANGS_S

from songs.ports.storage import Storage
from songs_api.cli import run
from songs_sqlite import SqliteStorage
from songs_system.system import SystemClock

# SQLite under another name, so that one process can have two; told to, it stops at a certain unit in a certain way.
OTHER = """
import os
import signal
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from songs.errors import StorageUnavailable
from songs_plugins import hookimpl
from songs_sqlite import plugin


class OtherSettings(BaseModel):
    path: Path
    stop_at_unit: int = 0
    stop_by: str = ""


meanwhile = []


def stop(how):
    if how == "change":
        return meanwhile.pop()()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise KeyboardInterrupt if how == "interrupt" else StorageUnavailable("It is gone.")


def storage(settings, context):
    made = plugin.storage(plugin.SqliteSettings(path=settings.path), context)
    unit_of_work, units = made.unit_of_work, iter(range(1, 10**9))

    def counted(scope, *, deadline):
        if next(units) == settings.stop_at_unit:
            stop(settings.stop_by)
        return unit_of_work(scope, deadline=deadline)

    made.unit_of_work = counted
    return made


@hookimpl
def songs_adapters():
    return [replace(spec, name="other", settings=OtherSettings, factory=storage) for spec in plugin.songs_adapters()]
"""


TOLD = ("action", "outcome", "songs", "ratings", "users")


@dataclass(frozen=True)
class Ran:
    """What a command came to; its line of the audit trail is not in `err` but in `audit`, without what differs."""

    status: int
    out: str
    err: str
    audit: dict[str, Any]


Songs = Callable[..., Ran]
VERIFIED = (
    "verified: 5 songs and 3 users are equal; so are the statistics of every song (6 ratings); "
    "difficulty totals are right, of all songs and of 5 levels\n"
)


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution of the other adapter, as pip would have installed it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "other_songs.py").write_text(OTHER)
    metadata = folder / "other_songs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-songs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[songs.adapters]\nother = other_songs\n")
    return folder


@pytest.fixture
def songs(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Songs]:
    """Run a command in this process, with files of its own for both storages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SONGS_SQLITE_PATH", str(tmp_path / "old.db"))
    monkeypatch.setenv("SONGS_OTHER_PATH", str(tmp_path / "new.db"))
    monkeypatch.setenv("SONGS_LOG_FORMAT", "json")

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        status = run(arguments)
        out, err = capfd.readouterr()
        lines = err.splitlines(keepends=True)
        audit = {key: value for line in lines if line.startswith("{") for key, value in json.loads(line).items()}
        told = "".join(line for line in lines if not line.startswith("{"))
        return Ran(status, out, told, {key: audit[key] for key in audit if key in TOLD})

    yield call
    sys.modules.pop("other_songs", None)


@pytest.fixture
def copy(songs: Songs) -> Callable[[], Ran]:
    """Copy from the one to the other."""
    return lambda: songs("copy", "--from", "sqlite", "--to", "other")


@pytest.fixture
def place(tmp_path: Path, new_place: Callable[[Storage], Any]) -> Iterator[Callable[[str], Any]]:
    """Open one of the two files."""
    made: list[Storage] = []

    def opened(name: str) -> Any:
        storage = SqliteStorage(tmp_path / name, SystemClock(), connections=2)
        made.append(storage)
        storage.open()
        storage.prepare()
        return new_place(storage)

    yield opened
    for storage in made:
        storage.close()


@pytest.fixture
def filled(place: Callable[[str], Any], make: Any) -> Any:
    """5 songs, 6 ratings and 3 users in the source."""
    source = place("old.db")
    make.fill(source, songs=5, ratings=3, users=3)
    return source


def test_a_copy_is_made_and_verified(copy: Callable[[], Ran], filled: Any, place: Callable[[str], Any]) -> None:
    """Everything is there, counts are told, the exit status is 0; a second time nothing is added."""
    first, second = copy(), copy()

    assert (first.status, first.err) == (0, "")
    assert first.out == (
        "copied from sqlite to other: 5 songs, 6 ratings, 3 users; there already: 0 songs, 0 ratings, 0 users\n"
        "sessions are not copied: everyone signs in again\n" + VERIFIED
    )
    assert place("new.db").dump() == filled.dump()
    assert first.audit == {"action": "copy", "outcome": "done", "songs": 5, "ratings": 6, "users": 3}
    assert second.status == 0
    assert second.out.startswith("copied from sqlite to other: 0 songs, 0 ratings, 0 users; there already: 5 songs, 6 ")
    assert second.out.endswith(VERIFIED)


def test_the_selected_storage_plays_no_part(
    copy: Callable[[], Ran], filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What serve would use, and its cache and limiter, are neither asked nor needed."""
    for name, value in (("STORAGE", "nosuch"), ("CACHE", "nosuch"), ("LIMITER", "nosuch")):
        monkeypatch.setenv(f"SONGS_{name}", value)

    assert copy().status == 0


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("sqlite", "sqlite", "songs: --from and --to are both 'sqlite'"),
        ("memory", "other", "songs: --from: the storage 'memory' lives in one process only"),
        ("sqlite", "memory", "songs: --to: the storage 'memory' lives in one process only"),
        ("sqlite", "nosuch", "songs: --to: there is no adapter 'nosuch' for 'storage'; installed are: "),
        ("jwt", "other", "songs: --from: the adapter 'jwt' is not one for 'storage'"),
    ],
)
def test_what_cannot_be_copied_is_one_line(songs: Songs, filled: Any, source: str, target: str, told: str) -> None:
    """Exit status 2, and nothing was opened."""
    ran = songs("copy", "--from", source, "--to", target)

    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(told)
    assert not Path("new.db").exists()


def test_wrong_settings_of_both_are_told_at_once(songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its variable."""
    monkeypatch.setenv("SONGS_SQLITE_PATH", ":memory:")
    monkeypatch.delenv("SONGS_OTHER_PATH")

    ran = songs("copy", "--from", "other", "--to", "sqlite")

    assert ran.status == 2
    assert [line.split()[1].rstrip(":") for line in ran.err.splitlines()] == ["SONGS_OTHER_PATH", "SONGS_SQLITE_PATH"]


def test_an_empty_source_is_a_mistake(copy: Callable[[], Ran]) -> None:
    """A wrong path makes an empty storage: the line names the variables to look at."""
    ran = copy()

    assert (ran.status, ran.out) == (2, "")
    assert "--from: the storage 'sqlite' holds neither songs nor users; look at its settings, SONGS_SQLITE_*" in ran.err
    assert not Path("new.db").exists()


def test_other_data_in_the_target_is_refused(
    copy: Callable[[], Ran], filled: Any, place: Callable[[str], Any], make: Any
) -> None:
    """One line, exit status 2, and the target stays as it is."""
    target = place("new.db")
    target.do(lambda unit: unit.songs.add(make.song(50)))
    before = target.dump()

    ran = copy()

    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "the song song-0050 is in the storage 'other' and not in the source; nothing was written" in ran.err
    assert target.dump() == before


@pytest.mark.parametrize(
    ("how", "unit", "status", "told"),
    [
        ("interrupt", 1, 130, "songs: warning: stopped before anything was written"),
        ("interrupt", 5, 130, "songs: warning: stopped while copying; run the same command again"),
        ("interrupt", 14, 130, "songs: warning: stopped before everything was compared; run the same command again"),
        ("gone", 1, 2, "songs: The storage 'other' gave up: It is gone."),
        ("gone", 5, 1, "songs: the copy stopped while copying, with 0 songs, 0 ratings, 1 users added: The storage"),
        ("gone", 14, 1, "songs: the copy stopped while verifying, with 5 songs, 6 ratings, 3 users added: The storage"),
    ],
)
def test_a_copy_that_stopped_goes_on(
    copy: Callable[[], Ran],
    filled: Any,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    unit: int,
    status: int,
    told: str,
) -> None:
    """Ctrl-C and a storage that is gone end it in a line that says how to go on; the same command then completes it."""
    monkeypatch.setenv("SONGS_OTHER_STOP_AT_UNIT", str(unit))
    monkeypatch.setenv("SONGS_OTHER_STOP_BY", how)
    stopped = copy()
    monkeypatch.delenv("SONGS_OTHER_STOP_AT_UNIT")

    assert (stopped.status, stopped.out, stopped.err.count("\n")) == (status, "", 1)
    assert stopped.err.startswith(told)
    assert stopped.audit["outcome"] != "done"
    assert copy().out.endswith(VERIFIED)


COMMAND = [sys.executable, "-c", "from songs_api.cli import main; main()", "copy", "--from", "sqlite", "--to", "other"]


def test_a_killed_copy_goes_on(copy: Callable[[], Ran], filled: Any, site: Path, place: Callable[[str], Any]) -> None:
    """SIGKILL at any unit leaves a target that the next copy completes."""
    environ = {**os.environ, "PYTHONPATH": str(site), "SONGS_OTHER_STOP_BY": "kill"}
    for unit in (4, 7, 9):
        environ["SONGS_OTHER_STOP_AT_UNIT"] = str(unit)
        killed = subprocess.run(COMMAND, env=environ, check=False, capture_output=True, timeout=HANGS_S)
        assert killed.returncode == -signal.SIGKILL, killed.stderr

    assert copy().out.endswith(VERIFIED)
    assert place("new.db").dump() == filled.dump()


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=[pytest.mark.thorough, pytest.mark.timeout(1200)])])
def test_a_copy_that_is_killed_at_random_goes_on(
    copy: Callable[[], Ran], site: Path, place: Callable[[str], Any], make: Any, kills: int
) -> None:
    """SIGKILL at any instruction, again and again, leaves a target that the next copy goes on with."""
    source = place("old.db")
    make.fill(source, songs=500, ratings=200, users=9)
    environ = {**os.environ, "PYTHONPATH": str(site)}
    target = Path("new.db")
    # From when the target is there until the copy is complete: the first kills come early, all the others anywhere.
    for _ in range(kills):
        with subprocess.Popen(COMMAND, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not target.exists() and process.poll() is None:
                time.sleep(0.01)
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0.0, 2.0))
            process.kill()

    ran = copy()

    assert (ran.status, ran.err) == (0, "")
    assert "verified: 500 songs and 9 users are equal" in ran.out
    assert place("new.db").dump() == source.dump()


def test_a_source_that_changed_is_told(
    songs: Songs, copy: Callable[[], Ran], filled: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 1, what is missing by id, at most ten of a kind, and what to do; doing it mends it."""

    def change() -> None:
        filled.do(*(lambda unit, n=n: unit.users.add(make.user(n)) for n in range(70, 83)))

    monkeypatch.setenv("SONGS_OTHER_STOP_AT_UNIT", "13")
    monkeypatch.setenv("SONGS_OTHER_STOP_BY", "change")
    importlib.import_module("other_songs").meanwhile.append(change)
    changed = copy()
    lines = changed.err.splitlines()

    assert changed.status == 1
    assert lines[0] == "songs: warning: the user user-0070 is in the source and not in the storage 'other'"
    assert (len(lines), lines[-1]) == (11, "songs: warning: and 3 more like this")
    assert changed.out.endswith(
        "not verified: sqlite was written to meanwhile; run the same command again to copy what is new\n"
    )
    monkeypatch.delenv("SONGS_OTHER_STOP_AT_UNIT")
    assert copy().status == 0


def test_a_terminal_sees_how_far_it_is(songs: Songs, filled: Any, site: Path) -> None:
    """A bar with the stage and counts; standard output stays plain."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(site), "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(COMMAND, env=environ, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout is not None
        out = process.stdout.read().decode()
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "5 songs, 6 ratings, 3 users" in shown
    assert out.endswith(VERIFIED)
    assert "\x1b" not in out


def test_import_after_a_copy_is_unchanged(songs: Songs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was imported into the one is exported from the other, ids kept, so that a client's links stay."""
    rows = [
        {"artist": "a", "title": f"t{n}", "difficulty": 1.5, "level": n, "released": "1900-01-01"} for n in range(9)
    ]
    (tmp_path / "songs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert songs("import", "songs.jsonl").status == 0
    before = songs("export").out

    assert songs("copy", "--from", "sqlite", "--to", "other").status == 0
    monkeypatch.setenv("SONGS_STORAGE", "other")
    assert songs("export").out == before
