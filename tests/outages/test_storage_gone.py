"""A storage that is down, hung, locked or full: every request is answered in time, and nothing acknowledged is lost."""

import os
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.outages.service import PASSWORD, Answer, Client, Service
from tests.outages.writers import acknowledged, stored, writing

from songs_api.http.app import OPERATIONS
from songs_api.http.kernel.operation import Operation
from songs_contract.harness.timing import eventually
from songs_mongo.testing import EphemeralServer

pytestmark = pytest.mark.server

DEADLINE_S = 3.0
PATIENCE_S = 15.0
"""What a machine that runs other things as well may add to the deadline."""
RECOVERY_S = 60.0
LIVENESS, READINESS = "get_health", "get_readiness"
USES_STORAGE = tuple(route for route in OPERATIONS if route.tag != "service")
ASKED = (*USES_STORAGE, *(route for route in OPERATIONS if route.operation_id in {LIVENESS, READINESS}))
REFUSED = frozenset({"sign_in", "remove_own_account"})
"""These are refused after reading: a password that is wrong, and an admin that would remove itself."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A way in which a storage fails.

    Attributes:
        variables: The settings of the service.
        failing: Lets it fail for the length of a block, given the running service.
        reads_fail: Whether reads fail as well as writes.
    """

    variables: dict[str, str]
    failing: Callable[[Service], AbstractContextManager[None]]
    reads_fail: bool


def _limit_files(service: Service, limit: int) -> None:
    assert service.running
    for pid in service.running.children():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@contextmanager
def _no_growth(service: Service) -> Iterator[None]:
    """No process of the service may write to any file, as if the disk were full."""
    _limit_files(service, 0)
    try:
        yield
    finally:
        _limit_files(service, resource.RLIM_INFINITY)


@contextmanager
def _locked(database: Path, _: Service) -> Iterator[None]:
    """Another process has locked the database and does not let go."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _stopped(servers: list[EphemeralServer], _: Service) -> Iterator[None]:
    """The server hangs."""
    os.kill(servers[-1].pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(servers[-1].pid, signal.SIGCONT)


@contextmanager
def _killed(servers: list[EphemeralServer], data: str, _: Service) -> Iterator[None]:
    """The server dies, and is started again."""
    servers[-1].stop()
    yield
    servers.append(EphemeralServer(data, servers[-1].port))


@pytest.fixture(params=["sqlite-full", "sqlite-locked", "mongo-killed", "mongo-stopped"])
def outage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outage]:
    """A storage, and a way in which it fails."""
    storage, _, failure = request.param.partition("-")
    variables = {"SONGS_STORAGE": storage}
    if storage == "sqlite":
        database = tmp_path / "songs.db"
        failing = _no_growth if failure == "full" else partial(_locked, database)
        yield Outage({**variables, "SONGS_SQLITE_PATH": str(database)}, failing, reads_fail=False)
        return
    data = str(tmp_path)
    servers = [EphemeralServer(data)]
    failing = partial(_killed, servers, data) if failure == "killed" else partial(_stopped, servers)
    yield Outage({**variables, "SONGS_MONGO_URL": servers[-1].url}, failing, reads_fail=True)
    servers[-1].stop()


def _send(client: Client, route: Operation, real: dict[str, str]) -> Answer:
    """Send the request that the documentation has as the example of a route, with what is real of its members."""
    path = route.path.format(song_id=real["song_id"], name="ben")
    required = [name for name, parameter in route.query.model_fields.items() if parameter.is_required()]
    query = "&".join(f"{name}=queen" for name in required)
    body: Any = None
    if route.request is not None:
        example = route.request.model_json_schema()["examples"][0]
        body = {member: real.get(member, value) for member, value in example.items()}
    return client.ask(route.method, f"{path}?{query}" if query else path, body)


def _ask_everything(people: Sequence[Callable[[], Client]], real: dict[str, str]) -> list[tuple[Operation, Answer]]:
    """Return what every route answers to each of the people, all asked at once.

    Readiness is asked once: while a first question is open, others are told what the last one found.
    """
    with ThreadPoolExecutor(len(people) * len(ASKED)) as clients:
        asked = [
            (route, clients.submit(_send, connect(), route, real))
            for connect in people
            for route in ASKED
            if route.operation_id != READINESS or connect is people[0]
        ]
        return [(route, answer.result()) for route, answer in asked]


def _people(root: Client) -> None:
    """Add ben, whom requests are about, and two admins who send them."""
    for name in ("ben", "eve", "fay"):
        assert root.ask("POST", "/auth/register", {"username": name, "password": PASSWORD}).status == 201
    for name in ("eve", "fay"):
        assert root.ask("PATCH", f"/users/{name}", {"role": "admin"}).status == 200


def _assert_answered(outage: Outage, route: Operation, answer: Answer) -> None:
    told = (route.operation_id, answer)
    assert answer.took_s < DEADLINE_S + PATIENCE_S, told
    if route.operation_id == LIVENESS:
        assert answer.status == 200, told
    elif route.operation_id == READINESS:
        expected = (503, "down") if outage.reads_fail else (200, "up")
        assert (answer.status, answer.body["checks"]["storage"]) == expected, told
        assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1, told
    elif outage.reads_fail or (route.method != "GET" and route.operation_id not in REFUSED):
        assert answer.status == 503, told
        assert int(answer.headers["Retry-After"]) >= 1
    elif route.method == "GET":
        assert answer.status < 500, told


@pytest.mark.parametrize("rounds", [1, pytest.param(4, marks=pytest.mark.thorough)])
def test_a_storage_that_fails(
    outage: Outage, rounds: int, new_service: Callable[..., Service], add_songs: Callable[..., list[str]]
) -> None:
    """Every route that needs it is 503 with Retry-After, the process lives, and it comes back by itself."""
    service = new_service({**outage.variables, "SONGS_WORKERS": "2"})
    service.add_user("root", "admin")
    service.start().wait_until_it_answers()
    connect = partial(service.connect, service.signed_in("root"))
    _people(connect())
    rated, song = add_songs(connect(), 2)
    people = [partial(service.connect, service.signed_in(name)) for name in ("eve", "fay")]
    # The process that answers knows eve from now on; fay's first request comes during the outage.
    assert people[0]().ask("GET", "/songs").status == 200
    session = connect().ask("POST", "/auth/login", {"username": "ben", "password": PASSWORD}).body
    real = {
        "song_id": song,
        "refresh_token": session["refresh_token"],
        "password": PASSWORD,
        "current_password": PASSWORD,
    }
    waits_s = []
    with writing(connect, [rated], 2) as writers:
        with outage.failing(service):
            for _ in range(rounds):
                for route, answer in _ask_everything(people, real):
                    _assert_answered(outage, route, answer)
                    waits_s.append(answer.took_s)
        over_at_s = time.monotonic()
        eventually(lambda: service.connect().ask("GET", "/health/ready").status == 200, within_s=RECOVERY_S)
        ready_s = time.monotonic() - over_at_s
        eventually(lambda: all(a.status < 500 for _, a in _ask_everything(people, real)), within_s=RECOVERY_S)
    print(f"answered within {max(waits_s):.2f} s, ready again after {ready_s:.2f} s")  # noqa: T201 - for -rP
    assert stored(connect(), [rated]) == acknowledged(writers)
