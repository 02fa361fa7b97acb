"""Data that are taken away from a running service: it begins no new ones, acknowledges nothing, and comes back."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from tests.outages.conftest import NewService
from tests.outages.service import GONE, PASSWORD, Client, Service
from tests.outages.storages import KINDS, MONGO, POSTGRESQL, Kind

from songs_contract.harness.timing import eventually
from songs_mongo import MongoSettings
from songs_mongo.testing import LOSSES

pytestmark = pytest.mark.server

RECOVERY_S = 60.0
TRIES = 20


@dataclass(frozen=True, slots=True)
class Loss:
    """A storage, its settings, and a way in which its data are taken away and brought back."""

    kind: Kind
    variables: dict[str, str]
    lose: Callable[[], None]
    bring_back: Callable[[], None]


def _renaming(path: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    aside = path.with_name(path.name + ".aside")
    return (lambda: _rename(path, aside)), (lambda: _rename(aside, path))


def _rename(path: Path, to: Path) -> None:
    path.rename(to)


def _in_its_place(path: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Put another database of this program in the place of the file, and take it away again."""
    aside, names = path.with_name("aside"), [path.name, f"{path.name}-wal", f"{path.name}-shm"]

    def lose() -> None:
        aside.mkdir()
        for name in names:
            with suppress(FileNotFoundError):
                path.with_name(name).rename(aside / name)
        with closing(sqlite3.connect(aside / names[0])) as theirs, closing(sqlite3.connect(path)) as other:
            theirs.backup(other)
            other.execute("DELETE FROM users")
            other.commit()

    def bring_back() -> None:
        for name in names:
            path.with_name(name).unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                (aside / name).rename(path.with_name(name))

    return lose, bring_back


def _schema(url: str) -> tuple[Callable[[], None], Callable[[], None]]:
    def rename(name: str, to: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"ALTER SCHEMA {name} RENAME TO {to}")

    return (lambda: rename("songs", "aside")), (lambda: rename("aside", "songs"))


def _database(way: str, url: str) -> tuple[Callable[[], None], Callable[[], None]]:
    losing, lost = LOSSES[way], ExitStack()
    return (lambda: lost.enter_context(losing(MongoSettings(url=SecretStr(url))))), lost.close


WAYS = (
    *("sqlite-folder", "sqlite-replaced", "sqlite-link", "jsonfile-file", "jsonfile-folder", "postgres-schema"),
    *(f"mongo-{way}" for way in LOSSES),
)


@pytest.fixture(params=WAYS)
def loss(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loss]:
    """A storage whose data can be taken away."""
    name, _, way = request.param.partition("-")
    kind = next(kind for kind in KINDS if kind.name == name)
    folder = tmp_path / "data"
    folder.mkdir()
    with kind.variables(tmp_path) as found:
        variables = {"SONGS_STORAGE": name, **found}
        if kind is POSTGRESQL:
            yield Loss(kind, variables, *_schema(found["SONGS_POSTGRES_URL"]))
            return
        if kind is MONGO:
            yield Loss(kind, variables, *_database(way, found["SONGS_MONGO_URL"]))
            return
        setting = f"SONGS_{name.upper()}_PATH"
        file = folder / Path(found[setting]).name
        if way == "link":
            link = tmp_path / "link"
            link.symlink_to(folder)
            yield Loss(kind, {**variables, setting: str(link / file.name)}, *_renaming(link))
            return
        ways = _in_its_place(file) if way == "replaced" else _renaming(folder if way == "folder" else file)
        yield Loss(kind, {**variables, setting: str(file)}, *ways)


def _kill_workers(service: Service) -> None:
    """Kill all that serve; return when others have taken their places and answer."""
    running = service.running
    assert running is not None
    before = running.children()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(running.children()) - set(before)) == len(before), within_s=RECOVERY_S)
    eventually(lambda: _status(service.connect(), "/health") == 200, within_s=RECOVERY_S)


def _status(client: Client, path: str) -> int:
    with suppress(*GONE):
        return client.ask("GET", path).status
    return 0


def _register(service: Service, name: str) -> bool:
    """Return whether a registration was acknowledged."""
    with suppress(*GONE):
        return service.connect().ask("POST", "/auth/register", {"username": name, "password": PASSWORD}).status == 201
    return False


@pytest.mark.parametrize("server", ["granian", pytest.param("gunicorn", marks=pytest.mark.thorough)])
def test_workers_begin_no_new_data(loss: Loss, server: str, new_service: NewService) -> None:
    """Workers that took the place of others find the same data or none: nothing that is acknowledged is lost."""
    workers = str(loss.kind.workers)
    service = new_service({**loss.variables, "SONGS_WORKERS": workers, "SONGS_SERVER": server})
    service.songs("prepare")
    service.start().wait_until_it_answers()
    assert _register(service, "before")
    loss.lose()
    kept = ["before", *(name for name in (f"here-{n}" for n in range(TRIES // 4)) if _register(service, name))]
    _kill_workers(service)
    kept += [name for name in (f"gone-{n}" for n in range(TRIES)) if _register(service, name)]
    assert kept == ["before"], "begun anew"
    assert _status(service.connect(), "/health/ready") == 503
    loss.bring_back()
    # Each worker looks by itself, and comes back by itself.
    eventually(lambda: all(_status(service.connect(), "/health/ready") == 200 for _ in range(9)), within_s=RECOVERY_S)
    eventually(lambda: _register(service, "after"), within_s=RECOVERY_S)
    service.stop()
    service.start().wait_until_it_answers()
    for name in ("before", "after"):
        assert service.signed_in(name)
