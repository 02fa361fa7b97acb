"""The backup that docs/operations/backup.md shows holds what was acknowledged before it began, also under writes."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.running import HANGS_S

from songs.ports.clock import Deadline
from songs_api.bootstrap.container import Container
from songs_api.bootstrap.startup import opened
from songs_api.cli.session import load

COPIES = 3
WRITERS = 2


def _blocks(project_root: Path) -> list[str]:
    text = (project_root / "docs" / "operations" / "backup.md").read_text(encoding="utf-8")
    section = text.partition("## SQLite")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def test_both_ways_are_shown(project_root: Path) -> None:
    """By SQLite's own program, and by Python."""
    shown = [("sqlite3 " in block, "python3 " in block) for block in _blocks(project_root)]

    assert shown == [(True, False), (False, True)]


@pytest.mark.parametrize("way", [0, 1], ids=["sqlite3", "python3"])
def test_a_backup_holds_what_was_acknowledged(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    """Ratings of several writers, users and songs, in backups that are made while ratings are written; nothing else."""
    program = _blocks(project_root)[way].replace("python3", sys.executable)
    if way == 0 and shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3 program")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SONGS_STORAGE", "sqlite")
    monkeypatch.setenv("SONGS_SQLITE_PATH", str(tmp_path / "songs.db"))
    monkeypatch.setenv("SONGS_BCRYPT_ROUNDS", "4")
    before: list[list[str]] = []
    with opened(load()) as container:
        song, user = _one_song(container), _one_user(container)
        acknowledged: list[str] = []
        stopping = threading.Event()

        def write(writer: int) -> None:
            number = 0
            while not stopping.is_set():
                key = f"{writer}-{number}"
                deadline = Deadline.after(container.clock(), 60)
                container.ratings().rate(user_id=user, song_id=song, value=3, key=key, deadline=deadline)
                acknowledged.append(key)
                number += 1

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
        for each in writers:
            each.start()
        try:
            for number in range(COPIES):
                while len(acknowledged) < 20 * (number + 1):
                    container.clock().sleep(0.01)
                before.append(list(acknowledged))
                _run(program, tmp_path / "songs.db", tmp_path / f"backup-{number}.db")
        finally:
            stopping.set()
            for each in writers:
                each.join()

    for number, keys in enumerate(before):
        backup = tmp_path / f"backup-{number}.db"
        assert backup.stat().st_mode & 0o777 == 0o600
        _holds(backup, monkeypatch, at_least=len(keys), at_most=len(acknowledged))


def _one_song(container: Container) -> str:
    from songs_api.transfer import import_songs  # noqa: PLC0415 - beside its only use

    line = b'{"artist":"a","title":"b","difficulty":1,"level":1,"released":"2000-01-01"}'
    with Path("file").open("w+b") as file:
        file.write(line)
        file.seek(0)
        import_songs(file, container.importer(), container.clock(), refuse=lambda *_: None)
    return _songs_of(container)[0]


def _songs_of(container: Container) -> list[str]:
    from songs_api.transfer import all_songs  # noqa: PLC0415 - beside its only use

    return [song.id for song in all_songs(container.catalogue(), container.clock())]


def _one_user(container: Container) -> str:
    deadline = Deadline.after(container.clock(), 60)
    return container.accounts().register("ada", "a long pass phrase", deadline=deadline).id


def _run(program: str, database: Path, backup: Path) -> None:
    environment = {**os.environ, "DATABASE": str(database), "BACKUP": str(backup)}
    subprocess.run(["sh", "-ec", program], env=environment, check=True, timeout=HANGS_S, capture_output=True)


def _holds(backup: Path, monkeypatch: pytest.MonkeyPatch, *, at_least: int, at_most: int) -> None:
    """The backup is whole, and has the song, the user and the ratings that it must have, in events and in counts."""
    with sqlite3.connect(backup) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    monkeypatch.setenv("SONGS_SQLITE_PATH", str(backup))
    with opened(load()) as container:
        (song,) = _songs_of(container)
        deadline = Deadline.after(container.clock(), 60)
        assert container.accounts().get("ada", deadline=deadline).name == "ada"
        count = container.ratings().stats(song, deadline=deadline).count
        events = container.runner().read(lambda unit: unit.ratings.of_song(song, limit=1_000_000), deadline=deadline)
    assert at_least <= count <= at_most
    assert len(events) == count
