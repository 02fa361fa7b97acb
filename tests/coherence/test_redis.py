"""Coherence over a real redis-server and a storage in memory, while the server is stopped, flushed and restarted.

Time is the machine's for the server and, moved by hand, the test's for the processes, so that nobody waits for it.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from songs.ports.cache import Hit
from songs_contract.harness.timing import eventually
from songs_redis import RedisCache, RedisSettings
from songs_redis.client import CALL_S, Client
from songs_redis.testing import PrivateServer

pytestmark = pytest.mark.redis

PATIENT_S = 30.0


@pytest.fixture
def server(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    """A running, empty redis-server."""
    return new_redis_server()


@pytest.fixture
def admin(server: PrivateServer, new_redis_admin: Callable[[PrivateServer], Any]) -> Any:
    """Sends one command to the server, as its operator would."""
    return new_redis_admin(server)


@pytest.fixture
def clients() -> list[Client]:
    """What the processes ask the server with."""
    return []


@pytest.fixture
def stopped(server: PrivateServer, clients: list[Client]) -> Callable[[], AbstractContextManager[None]]:
    """Stops the server, while calls take no longer than the port allows; otherwise they take what they take."""

    @contextmanager
    def stop() -> Iterator[None]:
        os.kill(server.pid, signal.SIGSTOP)
        for client in clients:
            client._call_s = CALL_S
        try:
            yield
        finally:
            os.kill(server.pid, signal.SIGCONT)
            for client in clients:
                client._call_s = PATIENT_S

    return stop


@pytest.fixture
def new_process(server: PrivateServer, clock: Any, clients: list[Client], new_process_on: Any) -> Iterator[Any]:
    """Starts a process with connections of its own, to `server` unless the test says; the first has the cache on."""

    def make(url: str = server.url, prefix: str = "songs") -> Any:
        clients.append(Client(RedisSettings(url=SecretStr(url)), clock, connections=4, call_s=PATIENT_S))
        cache = RedisCache(clients[-1], prefix)
        cache.open()
        process = new_process_on(cache)
        if process.state == (1, "on"):
            process.move("on")
        return process

    yield make
    for client in clients:
        client.close()


def _returns(process: Any, clock: Any) -> None:
    """Let the time pass after which a cache that answers is on again."""
    process.read(lambda: b"not kept")
    for pause_s in (5.0, 1.1):
        clock.advance(pause_s)
        process.read(lambda: b"not kept")
    assert process.record.cache_on
    process.cache.invalidate(["group"])


def _seconds(call: Callable[[], Any], clock: Any) -> float:
    """Return what a call took: of real time, and of the time that it slept."""
    slept, started_s = len(clock.slept_s), time.monotonic()
    call()
    return float(time.monotonic() - started_s + sum(clock.slept_s[slept:]))


def test_two_processes(new_process: Any) -> None:
    """What one wrote the other sees at once, and both share what either loaded."""
    one, two = new_process(), new_process()
    assert one.read(lambda: b"1") == b"1"
    assert two.read(lambda: b"not asked") == b"1"
    two.wrote()
    assert one.read(lambda: b"2") == b"2"
    assert two.hits()


def test_a_server_that_hangs(stopped: Any, new_process: Any, clock: Any) -> None:
    """Reads are right, the first write of a process waits once, further ones do not, and then the cache returns."""
    one, two = new_process(), new_process()
    one.read(lambda: b"1")
    assert two.hits()
    with stopped():
        # 1.5 s is what is promised; the rest is this machine's, which runs other things as well.
        assert _seconds(one.wrote, clock) < 1.5 + 0.8
        assert clock.slept_s == [pytest.approx(1.1, abs=0.01)]
        assert two.read(lambda: b"2") == b"2"
        assert one.read(lambda: b"2") == b"2"
        for _ in range(5):
            assert _seconds(one.wrote, clock) < 0.8
        assert _seconds(lambda: one.read(lambda: b"2"), clock) < 0.8
        assert len(clock.slept_s) == 1
        clock.advance(5.0)
        assert one.read(lambda: b"2") == b"2"
        assert one.state == (3, "off")
    # Now the server takes what was sent to it, and the entry of before is there again.
    assert one.read(lambda: b"3") == b"3"
    clock.advance(5.0)
    one.read(lambda: b"3")
    assert one.state == (4, "announced")
    clock.advance(1.1)
    one.read(lambda: b"4")
    assert one.state == (5, "on")
    clock.advance(0.5)
    assert one.read(lambda: b"4") == b"4"
    assert two.read(lambda: b"not asked") == b"4"
    one.wrote()
    assert two.read(lambda: b"5") == b"5"


def test_a_stopped_server_and_a_process_that_knows_nothing_of_it(stopped: Any, new_process: Any) -> None:
    """One that only reads, with a record of just before, finds nothing old once the write is answered."""
    one, two = new_process(), new_process()
    two.read(lambda: b"1")
    with stopped():
        one.wrote()
    with two.coherence._refreshing:
        assert two.read(lambda: b"2") == b"2"


def test_a_flush_between_load_and_fill(new_process: Any, admin: Any) -> None:
    """A load that began before a write, and whose fill comes after a flush, is not kept."""
    one, two = new_process(), new_process()

    def load() -> bytes:
        two.wrote()
        admin("FLUSHALL")
        two.read(lambda: b"new")
        admin("FLUSHALL")
        return b"old"

    assert one.read(load) == b"old"
    assert two.read(lambda: b"new") == b"new"
    assert one.hits()


def test_a_restart_from_an_old_snapshot(server: PrivateServer, new_process: Any, admin: Any, clock: Any) -> None:
    """What was invalidated after the snapshot does not come back: the server is another one, which is noticed."""
    one, two = new_process(), new_process()
    one.read(lambda: b"old")
    admin("SAVE")
    one.wrote()
    server.kill()
    server.start()
    assert admin("KEYS", "songs:e:*")
    assert two.read(lambda: b"new") == b"new"
    one.wrote()
    assert one.state == (3, "off")
    assert clock.slept_s == pytest.approx([1.1])
    _returns(two, clock)
    assert two.read(lambda: b"newer") == b"newer"
    clock.advance(0.5)
    assert one.read(lambda: b"not asked") == b"newer"
    one.wrote()
    assert one.state == (5, "on")
    assert clock.slept_s == pytest.approx([1.1])


def test_a_server_that_is_gone_for_a_while(server: PrivateServer, new_process: Any, admin: Any, clock: Any) -> None:
    """Every read is right and no call fails, without a server and when it is back with an old snapshot."""
    one, two = new_process(), new_process()
    one.read(lambda: b"1")
    admin("SAVE")
    server.kill()
    one.wrote()
    for process in (one, two):
        assert process.read(lambda: b"2") == b"2"
    server.start()
    for process in (one, two):
        assert process.read(lambda: b"2") == b"2"
    _returns(two, clock)
    clock.advance(0.5)
    assert two.read(lambda: b"3") == b"3"
    assert one.read(lambda: b"not asked") == b"3"
    assert one.state == (5, "on")


def test_a_cache_that_comes_and_goes(stopped: Any, new_process: Any, clock: Any) -> None:
    """It is switched on again after 5, 10 and 20 seconds."""
    process, pauses_s = new_process(), []
    for _ in range(3):
        with stopped():
            process.wrote()
        off_at_s = clock.now_s - 1.1
        while process.state[1] == "off":
            clock.advance(0.5)
            process.read()
        pauses_s.append(round(clock.now_s - off_at_s))
        clock.advance(1.1)
        process.read()
        assert process.state[1] == "on"
    assert pauses_s == [5, 10, 20]
    found = process.cache.get("group", f"{process.record.epoch}:key")
    assert not isinstance(found, Hit) or found.value == b"loaded"


# Failover: rules 1 and 3. `away` is a second server, a replica of the first until it is promoted.


@pytest.fixture
def away(server: PrivateServer, admin: Any, new_redis_server: Any, new_redis_admin: Any) -> Any:
    """The second server, and what promotes it, and demotes it again."""
    admin("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    admin("CONFIG", "SET", "bind", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    admin("CONFIG", "SET", "port", port)
    second = new_redis_server("--replicaof", "127.0.0.1", str(port))
    ask = new_redis_admin(second)
    eventually(lambda: ask("INFO", "replication")["master_link_status"] == "up", within_s=20)
    return second, ask


def test_a_process_that_keeps_to_the_old_primary(new_process: Any, away: Any, clock: Any) -> None:
    """It is cut off from the others, which write through the new one: it counts no hit once they were answered."""
    second, promote = away
    one = new_process()
    one.read(lambda: b"old")
    assert one.hits()
    promote("REPLICAOF", "NO", "ONE")
    two = new_process(second.url)
    with one.coherence._refreshing:  # it has read the record a moment ago
        two.wrote()
        assert one.read(lambda: b"new") == b"new"
    for n in range(200):
        clock.advance(0.5)
        assert one.read(lambda n=n: b"%d" % n) == b"%d" % n
        assert two.read(lambda n=n: b"%d" % n) == b"%d" % n
        two.wrote()
        one.wrote()
    assert len(clock.slept_s) < 60, "two that differ for good switch each other off ever more rarely"


def test_both_move_away_and_back(new_process: Any, away: Any, admin: Any, server: PrivateServer, clock: Any) -> None:
    """What the first server has of before is not believed again, whether it was a replica in between or not."""
    second, promote = away
    for demoted in (False, True):
        one, two = new_process(), new_process()
        _returns(one, clock) if not one.record.cache_on else None
        one.read(lambda: b"old")
        promote("REPLICAOF", "NO", "ONE")
        three = new_process(second.url)
        three.wrote()
        if demoted:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                port = int(listening.getsockname()[1])
            promote("CONFIG", "SET", "port", port)
            admin("REPLICAOF", "127.0.0.1", port)
            eventually(lambda: admin("INFO", "replication")["master_link_status"] == "up", within_s=20)
            assert one.read(lambda: b"new") == b"new"
            admin("REPLICAOF", "NO", "ONE")
        assert one.read(lambda: b"new") == b"new"
        assert two.read(lambda: b"new") == b"new"
        _returns(two, clock)
        clock.advance(0.5)
        assert two.read(lambda: b"newer") == b"newer"
        assert one.read(lambda: b"not asked") == b"newer"


@pytest.mark.parametrize("how", ["none", "prefix", "database"])
def test_a_writer_with_other_settings(
    server: PrivateServer, new_process: Any, new_process_on: Any, clock: Any, how: str
) -> None:
    """It is noticed before it is answered, and the cache of the service is on again later, without what it held."""
    service = new_process()
    service.read(lambda: b"old")
    makes = {
        "none": lambda: new_process_on(None),
        "prefix": lambda: new_process(prefix="other"),
        "database": lambda: new_process(f"{server.url}?db=3"),
    }
    writer = makes[how]()
    with service.coherence._refreshing:
        writer.wrote()
        assert service.read(lambda: b"new") == b"new"
    assert service.state == (3, "off")
    again = new_process()
    assert again.read(lambda: b"new") == b"new"
    _returns(service, clock)
    clock.advance(0.5)
    assert again.read(lambda: b"new") == b"new"
    assert service.hits()
    assert clock.slept_s == pytest.approx([1.1])
