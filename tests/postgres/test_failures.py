"""A server that is stopped, that hangs, that refuses; locks; commits that nobody answers."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from tests.postgres.database_user import User, deadline, frozen, song

from songs.errors import (
    DeadlineExceeded,
    OutcomeUnknown,
    SongsError,
    StorageClosed,
    StorageMismatch,
    StorageUnavailable,
)
from songs.ports.storage import Scope, UnitOfWork
from songs_postgres import PostgresStorage
from songs_postgres.connection import Connection
from songs_postgres.errors import NoAnswerError
from songs_postgres.testing import EphemeralServer
from songs_system.system import SystemClock

SLACK_S = 0.5
"""What STO-14 allows; the machine's own delays come on top, so that a loaded one fails no test."""
LOAD_S = 3.0

CALLS: dict[str, Callable[[User, float], object]] = {
    "a read": lambda user, left_s: user.run(Scope.READ, lambda unit: unit.songs.get("s1"), left_s),
    "a write": lambda user, left_s: user.rate("r9", deadline_s=left_s),
    "ping": lambda user, left_s: user.storage.ping(deadline=deadline(left_s)),
}


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Hold the block to a time, and to what a loaded machine may add."""
    began_s = time.monotonic()
    yield
    assert time.monotonic() - began_s < limit_s + SLACK_S + LOAD_S


def _other(user: User, **changes: Any) -> PostgresStorage:
    return PostgresStorage(user.settings.model_copy(update=changes), SystemClock(), connections=1)


def test_a_database_that_is_being_restored(user: User) -> None:
    """Tables without their rows, as `pg_restore` has them for a moment: readiness says no, by an error of the port."""
    user.sql("DELETE FROM coherence")
    with pytest.raises(StorageMismatch, match="coherence record"):
        user.storage.ping(deadline=deadline(5))


def test_a_version_that_is_not_restored_yet(user: User) -> None:
    """Whoever opens the database meanwhile is told, by an error of the port."""
    user.sql("DELETE FROM schema_version")
    for use in (user.storage.identity, user.storage.prepare, _other(user).open, _other(user).open_existing):
        with pytest.raises(StorageMismatch, match="record of its version"):
            use()


@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_is_stopped(name: str, own_server: EphemeralServer, breakable: User) -> None:
    """Each call is refused at once, and works again by itself when the server is back; nothing is lost or doubled."""
    breakable.rate("r1")
    own_server.stop()
    try:
        for _ in range(2):
            with within(0.5), pytest.raises(StorageUnavailable, match="reached"):
                CALLS[name](breakable, 20)
    finally:
        own_server.start()
    CALLS[name](breakable, 20)
    assert breakable.rated()[0] == "r1"


@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_hangs(name: str, own_server: EphemeralServer, breakable: User) -> None:
    """Each call ends with its deadline, on a connection that it has and on one that it would make."""
    breakable.rate("r1")
    with frozen(own_server.pid):
        for _ in range(3):
            with within(0.5), pytest.raises((StorageUnavailable, DeadlineExceeded)):
                CALLS[name](breakable, 0.5)
    CALLS[name](breakable, 20)
    assert breakable.rated()[0] == "r1"


def test_a_server_that_hangs_at_a_commit(own_server: EphemeralServer, breakable: User) -> None:
    """Nobody can say whether it was kept, so that is said; under its id it is stored once."""
    with ExitStack() as freezing, within(0.8), pytest.raises(OutcomeUnknown) as caught:  # noqa: PT012, SIM117 - the end of the block raises
        with breakable.storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0.8)) as unit:
            unit.songs.add(song("s2"))
            freezing.enter_context(frozen(own_server.pid))
    assert isinstance(caught.value.__cause__, NoAnswerError)
    breakable.add(song("s2"))
    assert breakable.run(Scope.READ, lambda unit: unit.songs.get("s2")) == song("s2")


def test_a_server_that_hangs_in_a_block(own_server: EphemeralServer, breakable: User) -> None:
    """An exception leaves the block as it is and in time, though the server cannot be told to roll back."""
    planted = ValueError()
    with ExitStack() as freezing, within(0.8), pytest.raises(ValueError) as caught:  # noqa: PT011, SIM117, PT012 - the very one
        with breakable.storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(0.8)) as unit:
            unit.songs.add(song("s2"))
            freezing.enter_context(frozen(own_server.pid))
            raise planted
    assert caught.value is planted
    assert breakable.run(Scope.READ, lambda unit: unit.songs.get("s2")) is None


def test_opening_a_server_that_is_stopped(own_server: EphemeralServer, breakable: User) -> None:
    """It cannot be opened, and can when the server is there."""
    other = _other(breakable)
    own_server.stop()
    try:
        with pytest.raises(StorageUnavailable, match="reached"):
            other.open()
    finally:
        own_server.start()
    other.open()
    other.ping(deadline=deadline(20))
    other.close()


@contextmanager
def _cancelling_waits(user: User) -> Iterator[None]:
    """Cancel, as an administrator, whatever waits for a standby."""
    ended = threading.Event()

    def cancel() -> None:
        while not ended.is_set():
            user.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_standby_that_does_not_answer(breakable: User) -> None:
    """A commit that is kept here and not where it should be is not acknowledged; repeated, it is stored once."""
    breakable.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    breakable.sql("SELECT pg_reload_conf()")
    try:
        while breakable.sql("SHOW synchronous_standby_names") != [("nobody",)]:
            pass
        with within(0.8), pytest.raises(OutcomeUnknown) as silent:
            breakable.rate("r1", deadline_s=0.8)
        assert isinstance(silent.value.__cause__, NoAnswerError)
        with _cancelling_waits(breakable), pytest.raises(OutcomeUnknown) as answered:
            breakable.rate("r2")
        assert answered.value.__cause__ is None, "the server answered, with a warning"
    finally:
        breakable.sql("SET synchronous_commit = local")
        breakable.sql("ALTER SYSTEM RESET synchronous_standby_names")
        breakable.sql("SELECT pg_reload_conf()")
    breakable.insist("r1")
    breakable.insist("r2")
    assert breakable.rated() == ["r1", "r2"]


def test_a_row_that_is_locked(user: User) -> None:
    """A write gives up at its deadline, and leaves the server nothing to do; reads go on."""
    with user.connection() as other, other.transaction():
        other.execute("SELECT FROM stats FOR UPDATE")
        with within(0.5), pytest.raises(DeadlineExceeded):
            user.rate("r1", deadline_s=0.5)
        assert user.rated() == []
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert user.sql(waiting) == [(0,)]
    user.rate("r1")
    assert user.rated() == ["r1"]


def test_a_connection_for_each(user: User) -> None:
    """A unit that finds all connections in use waits for one until its deadline, and says so."""
    storage = PostgresStorage(user.settings, SystemClock(), connections=1)
    storage.open()
    with storage.unit_of_work(Scope.READ, deadline=deadline(20)) as first:
        first.songs.get("s1")
        with (
            within(0.3),
            pytest.raises(StorageUnavailable, match="All 1 connections"),
            storage.unit_of_work(Scope.READ, deadline=deadline(0.3)) as second,
        ):
            second.songs.get("s1")
    storage.ping(deadline=deadline(20))
    storage.close()


def test_connections_are_kept_and_closed(user: User) -> None:
    """Units one after the other use one connection; closing leaves none."""
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'"
    url = f"{user.settings.url.get_secret_value()}&application_name=counted"
    storage = _other(user, url=SecretStr(url))
    storage.open()
    for _ in range(5):
        storage.ping(deadline=deadline(20))
    assert user.sql(count) == [(1,)]
    storage.close()
    give_up_at_s = time.monotonic() + 20
    while user.sql(count) != [(0,)]:
        assert time.monotonic() < give_up_at_s


def test_a_connection_that_was_ended(user: User) -> None:
    """An administrator ends idle connections: the next unit notices before it uses one."""
    user.rate("r1")
    mine = "FROM pg_stat_activity WHERE application_name = 'songs-api' AND pid <> pg_backend_pid()"
    user.sql(f"SELECT pg_terminate_backend(pid) {mine}")
    give_up_at_s = time.monotonic() + 20
    while user.sql(f"SELECT count(*) {mine}") != [(0,)]:
        assert time.monotonic() < give_up_at_s
    user.rate("r2")
    assert user.rated() == ["r1", "r2"]


def test_a_forked_process_does_not_use_what_it_inherited(user: User) -> None:
    """The child is refused until it opens the storage itself; what it does takes nothing from the parent."""
    user.rate("r1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(StorageClosed):
                user.rate("r2")
            user.storage.open()
            user.rate("r3")
            user.storage.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    user.rate("r4")
    assert user.rated() == ["r1", "r3", "r4"]


@pytest.mark.parametrize("clean", [True, False])
def test_a_process_forked_inside_a_unit_does_not_use_its_connection(user: User, *, clean: bool) -> None:
    """The child is refused however its copy of the block ends; the parent's transaction goes on, and commits."""
    with user.storage.unit_of_work(Scope.WRITE_ONE, deadline=deadline(20)) as unit:
        unit.songs.add(song("s2"))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(StorageClosed):
                    unit.songs.get("s2")
                left = unit.__exit__
                if clean:
                    with pytest.raises(StorageClosed):
                        left(None, None, None)
                else:
                    left(ValueError, ValueError(), None)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert unit.songs.get("s2") == song("s2")
    assert user.run(Scope.READ, lambda unit: unit.songs.get("s2")) == song("s2")


def test_a_block_that_swallows_an_error(user: User) -> None:
    """After an error of the server the unit answers nothing but that error, and a clean end does not look committed."""

    def work(unit: UnitOfWork) -> None:
        unit.songs.add(song("s2"))
        with pytest.raises(SongsError):
            unit.songs.rows("SELECT 1 / 0")  # type: ignore[attr-defined]
        with pytest.raises(SongsError):
            unit.songs.get("s2")

    def broken(unit: UnitOfWork) -> None:
        unit.songs.rows = unit.rows  # type: ignore[attr-defined]
        work(unit)

    with pytest.raises(SongsError):
        user.run(Scope.WRITE_MANY, broken)
    assert user.run(Scope.READ, lambda unit: unit.songs.get("s2")) is None


RATE_FOR_EVER = """
import itertools, sys
from database_user import User
from pydantic import SecretStr
from songs_postgres import PostgresSettings, PostgresStorage
from songs_system.system import SystemClock

url, schema_name, name = sys.stdin.readline().split()
settings = PostgresSettings(url=SecretStr(url), schema_name=schema_name)
user = User(settings, PostgresStorage(settings, SystemClock(), connections=2))
user.storage.open()
for n in itertools.count():
    user.insist(f"{name}-{n:05d}", key=f"{name}-{n}")
    print(f"{name}-{n:05d}", flush=True)
"""


@contextmanager
def _rating_for_ever(user: User, name: str) -> Iterator["subprocess.Popen[str]"]:
    folder = os.path.dirname(__file__)  # noqa: PTH120 - for the child's path
    process = subprocess.Popen(
        [sys.executable, "-c", RATE_FOR_EVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": folder},
    )
    try:
        assert process.stdin is not None
        process.stdin.write(f"{user.settings.url.get_secret_value()} {user.settings.schema_name} {name}\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_killed_writers_and_a_killed_server(own_server: EphemeralServer, breakable: User) -> None:
    """Whenever writers and server are killed, what was acknowledged is there once, and no more than what was sent."""
    told: list[str] = []
    for r in range(5):
        with _rating_for_ever(breakable, f"a{r}") as first, _rating_for_ever(breakable, f"b{r}") as second:
            for process in (first, second):
                assert process.stdout is not None
                told += [process.stdout.readline().strip() for _ in range(3 + 5 * r)]
            if r % 2:
                own_server.stop()
                own_server.start()
                assert first.stdout is not None
                told.append(first.stdout.readline().strip())
            first.send_signal(signal.SIGKILL)
            second.send_signal(signal.SIGKILL)
            for process in (first, second):
                assert process.stdout is not None
                told += process.stdout.read().split()
        stored = breakable.rated()
        assert set(told) <= set(stored)
        assert len(stored) <= len(set(told)) + 2 * (r + 1)
        assert len(stored) == len(set(stored))


def test_a_database_that_does_not_exist(user: User) -> None:
    """Opening says how to create it."""
    if "/postgres?" not in user.settings.url.get_secret_value():
        pytest.skip("SONGS_TEST_POSTGRES_URL names another database")
    url = user.settings.url.get_secret_value().replace("/postgres?", "/nowhere?")
    with pytest.raises(StorageUnavailable, match="createdb"):
        _other(user, url=SecretStr(url)).open()


def test_a_wait_is_cut_at_the_deadline(user: User) -> None:
    """Also where the server does not keep to its own limit: the connection is closed then."""
    connection = Connection.connect(user.settings.url.get_secret_value(), autocommit=True)
    connection.deadline = deadline(0.2)
    with within(0.2), pytest.raises(NoAnswerError):
        connection.execute("SELECT pg_sleep(60)")
    assert connection.closed
