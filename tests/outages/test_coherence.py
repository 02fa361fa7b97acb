"""What was acknowledged is seen by every later read, through any process, whatever happens to the cache."""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.outages.disk import SmallDisk
from tests.outages.relay import Relay
from tests.outages.service import METRICS_TOKEN, Service
from tests.outages.storages import POSTGRESQL, POSTGRESQL_TABLES, SQLITE, Kind
from tests.outages.traffic import READERS, Traffic
from tests.running import free_port

from songs.caching.coherence import STALE_HITS_S
from songs_contract.harness.timing import eventually
from songs_redis.testing import PrivateServer

pytestmark = [pytest.mark.server, pytest.mark.redis]

CLIENTS = READERS + 1
TRIALS = 4
"""How often a process looks whether a cache is back that is away for 5 s: its breaker after 1 and 3 s, and itself."""
DISK_MIB = 64
RETURN_S = 200.0
"""A cache that comes and goes is tried after pauses of up to a minute, and each try may find the disk full."""
DEADLINE_S = 30.0
"""Longer than a machine keeps a query waiting, however busy: a read of which it is over is refused, cache or not."""
_RECORD = re.compile(r"^songs_coherence_(epoch|cache_on) ([0-9.]+)$", re.MULTILINE)


@pytest.fixture
def ports() -> list[int]:
    """Those of two redis-servers."""
    return [free_port(), free_port()]


@pytest.fixture
def cache(new_redis_server: Callable[..., PrivateServer], ports: list[int]) -> PrivateServer:
    """A running, empty redis-server."""
    return new_redis_server("--port", str(ports[0]), "--repl-diskless-sync-delay", "0")


@pytest.fixture
def standby(new_redis_server: Callable[..., PrivateServer], ports: list[int]) -> PrivateServer:
    """Another, which becomes a replica, and the primary."""
    return new_redis_server("--port", str(ports[1]), "--repl-diskless-sync-delay", "0")


@pytest.fixture
def admin(cache: PrivateServer, new_redis_admin: Callable[[PrivateServer], Callable[..., Any]]) -> Callable[..., Any]:
    """Sends one command to the server, as its operator would."""
    return new_redis_admin(cache)


@pytest.fixture
def relays(cache: PrivateServer) -> Iterator[list[Relay]]:
    """The ways of the two services to the server."""
    relays = [Relay(cache.socket) for _ in range(2)]
    yield relays
    for relay in relays:
        relay.close()


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[SmallDisk | None]:
    """A small disk for storage and metrics, of so many MiB; none, unless the test says how many."""
    size_mib: int = getattr(request, "param", 0)
    with SmallDisk.mounted(size_mib) if size_mib else nullcontext() as mounted:
        yield mounted


@pytest.fixture
def storage(request: pytest.FixtureRequest, disk: SmallDisk | None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of the storage of both processes: SQLite, unless the test names another kind."""
    kind: Kind = getattr(request, "param", SQLITE)
    with kind.variables(disk.folder if disk else tmp_path) as variables:
        yield {**variables, "SONGS_STORAGE": kind.name}


@pytest.fixture
def services(
    relays: list[Relay],
    disk: SmallDisk | None,
    storage: dict[str, str],
    tmp_path: Path,
    new_service: Callable[..., Service],
) -> list[Service]:
    """Two services, of two processes each, on one storage, one cache and one limiter."""
    variables = {
        **storage,
        "SONGS_CACHE": "redis",
        "SONGS_LIMITER": "redis",
        "SONGS_LIMITER_DEFAULT": "999999999/minute",
        "SONGS_METRICS_TOKEN": METRICS_TOKEN,
        "SONGS_DEADLINE_S": str(DEADLINE_S),
        "SONGS_WORKERS": "2",
    }
    services = []
    for number, relay in enumerate(relays):
        metrics = (disk.folder if disk else tmp_path) / f"metrics-{number}"
        metrics.mkdir()
        own = {"SONGS_REDIS_URL": relay.url, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        services.append(new_service({**variables, **own}))
    services[0].add_user("ada", "editor")
    _start(services)
    return services


def _start(services: list[Service]) -> None:
    for service in services:
        service.start()
    for service in services:
        assert service.running
        service.running.wait_until_it_answers()


@pytest.fixture
def strangers(
    cache: PrivateServer, storage: dict[str, str], services: list[Service], new_service: Callable[..., Service]
) -> list[Service]:
    """Two more, on the same storage, that are not started yet: one without a cache, and one with another prefix."""
    redis = {"SONGS_CACHE": "redis", "SONGS_REDIS_URL": cache.url, "SONGS_REDIS_PREFIX": "another"}
    same = {**storage, "SONGS_WORKERS": "1", "SONGS_DEADLINE_S": str(DEADLINE_S)}
    return [new_service({**same, **more}) for more in ({"SONGS_CACHE": "none"}, redis)]


@pytest.fixture
def traffic(services: list[Service], disk: SmallDisk | None) -> Traffic:
    """Clients of both."""
    token = services[0].signed_in("ada")
    return Traffic([partial(service.connect, token) for service in services], disk)


class Outages:
    """What befalls the cache while there is traffic.

    Attributes:
        waits_in_vain: How many calls of it were not answered in time, by the outage.
    """

    def __init__(
        self,
        traffic: Traffic,
        cache: PrivateServer,
        admin: Callable[..., Any],
        relays: list[Relay],
        service: Service,
    ) -> None:
        self.traffic = traffic
        self.waits_in_vain: dict[str, int] = {}
        self._cache = cache
        self._admin = admin
        self._relays = relays
        self._service = service

    def flushed(self, duration_s: float) -> None:
        """It loses everything, again and again."""
        ends_s = time.monotonic() + duration_s
        while time.monotonic() < ends_s:
            self._admin("FLUSHALL")
            self.traffic.wait("flushed", 0.2)

    def stopped(self, duration_s: float) -> None:
        """It hangs, and then obeys what it was told meanwhile."""
        before = self._waits_in_vain()
        os.kill(self._cache.pid, signal.SIGSTOP)
        try:
            self.traffic.wait("stopped", duration_s)
        finally:
            os.kill(self._cache.pid, signal.SIGCONT)
        self.traffic.wait("continued", 0.5)
        self.waits_in_vain["stopped"] = self._waits_in_vain() - before

    def cut_off(self, duration_s: float) -> None:
        """One of the processes cannot reach it, and what that one sent arrives later."""
        before = self._waits_in_vain()
        self._relays[1].cut()
        self.traffic.wait("cut off", duration_s)
        self._relays[1].heal()
        self.traffic.wait("healed", 0.5)
        self.waits_in_vain["cut off"] = self._waits_in_vain() - before

    def restored(self, duration_s: float) -> None:
        """It starts again with what it held a while ago."""
        self._admin("SAVE")
        self.traffic.wait("saved", duration_s)
        self.traffic.during = "restored"
        self._cache.kill()
        self._cache.start()
        self.traffic.wait("restored", 0.5)

    def gone(self, duration_s: float) -> None:
        """It ends, and starts again after a while."""
        self._cache.kill()
        self.traffic.wait("gone", duration_s)
        self._cache.start()
        self.traffic.wait("back", 0.5)

    def failed_over(self, standby: PrivateServer, ask: Callable[..., Any], ports: list[int], duration_s: float) -> None:
        """A replica is promoted, which one service learns before the other; and then all go back to where they were.

        No connection is broken: one that was made before stays with its server, until whoever has it looks anew.
        """
        ask("REPLICAOF", "127.0.0.1", ports[0])
        eventually(lambda: ask("INFO", "replication")["master_link_status"] == "up", within_s=RETURN_S)
        self.traffic.during = "promoted"
        ask("REPLICAOF", "NO", "ONE")
        self._relays[1].lead_to(standby.socket)
        self.traffic.wait("promoted", duration_s)
        self._relays[0].lead_to(standby.socket)
        self._admin("REPLICAOF", "127.0.0.1", ports[1])
        self.traffic.wait("moved", duration_s)
        eventually(lambda: self._admin("INFO", "replication")["master_link_status"] == "up", within_s=RETURN_S)
        self._admin("REPLICAOF", "NO", "ONE")
        for relay in self._relays:
            relay.lead_to(self._cache.socket)
        self.traffic.wait("moved back", duration_s)

    def written_by(self, strangers: list[Service], token: str, duration_s: float) -> None:
        """Others write, who have no cache, or another one."""
        _start(strangers)
        self.traffic.during = "strangers"
        self.traffic.strangers = [stranger.connect(token) for stranger in strangers]
        self.traffic.wait("strangers", duration_s)
        self.traffic.strangers = []
        self.traffic.wait("strangers", 0.5)
        for stranger in strangers:
            stranger.stop()

    def over(self, duration_s: float) -> None:
        """It is used again."""
        ends_s = time.monotonic() + RETURN_S
        while not (is_on := self.record()[1]) and time.monotonic() < ends_s:
            self.traffic.wait("off", 0.1)
        assert is_on or self.traffic.faults, "the cache was not switched on again"
        self.traffic.wait("calm", duration_s)
        assert self._admin("INFO", "stats")["keyspace_hits"] > 0

    def _waits_in_vain(self) -> int:
        return sum(relay.waits_in_vain for relay in self._relays)

    def record(self) -> tuple[int, bool]:
        """Return the epoch, and whether the cache is on, as the first service has seen them; 0 before it looked."""
        url = f"http://127.0.0.1:{self._service.port}/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        with urllib.request.urlopen(request, timeout=RETURN_S) as answer:
            values = dict(_RECORD.findall(answer.read().decode()))
        return int(float(values.get("epoch", 0))), values.get("cache_on") == "1.0"


@pytest.fixture
def outages(
    traffic: Traffic, cache: PrivateServer, admin: Callable[..., Any], relays: list[Relay], services: list[Service]
) -> Outages:
    """What may befall the cache."""
    return Outages(traffic, cache, admin, relays, services[0])


def test_no_stale_read(outages: Outages) -> None:
    """No read is stale and no answer is 5xx, whatever befalls the cache."""
    traffic = outages.traffic
    with traffic.flowing():
        outages.over(1.0)
        outages.flushed(0.5)
        outages.stopped(2.0)
        outages.over(0.5)
        outages.cut_off(2.0)
        outages.restored(0.0)
    print(traffic.report())  # noqa: T201 - for -rP
    assert traffic.faults == []
    assert outages.record()[0] > 3, "an outage was not noticed"


@pytest.mark.timeout(600)
def test_no_stale_read_after_a_failover(
    outages: Outages, standby: PrivateServer, new_redis_admin: Callable[..., Any], ports: list[int]
) -> None:
    """Through a new primary, beside an old one that some keep to, and back on the old one: nothing is stale, no 5xx."""
    with outages.traffic.flowing():
        outages.over(0.5)
        outages.failed_over(standby, new_redis_admin(standby), ports, 2.0)
    print(outages.traffic.report())  # noqa: T201 - for -rP
    assert outages.traffic.faults == []


@pytest.mark.timeout(600)
def test_no_stale_read_after_others_wrote(outages: Outages, strangers: list[Service], services: list[Service]) -> None:
    """Writers without a cache, and with another prefix, are seen through the service's cache: nothing is stale."""
    with outages.traffic.flowing():
        outages.over(0.5)
        outages.written_by(strangers, services[0].signed_in("ada"), 3.0)
    print(outages.traffic.report())  # noqa: T201 - for -rP
    assert outages.traffic.faults == []


@pytest.mark.timeout(600)
def test_a_command_without_the_cache(
    outages: Outages, services: list[Service], strangers: list[Service], tmp_path: Path
) -> None:
    """`songs import` from a shell that lacks SONGS_CACHE: when it has ended, the service shows what it wrote."""
    token = services[0].signed_in("ada")
    client = services[0].connect(token)
    song = {"artist": "Queen", "title": "39", "difficulty": 1.0, "level": 1, "released": "1975-11-21"}
    song_id = client.ask("POST", "/songs", song).body["id"]

    def level() -> int:
        return int(client.ask("GET", f"/songs/{song_id}").body["level"])

    eventually(lambda: (level(), outages.record()[1]) == (1, True), within_s=RETURN_S)
    for now in (2, 3):
        assert [level() for _ in range(20)] == [now - 1] * 20
        (tmp_path / "songs.jsonl").write_text(json.dumps({**song, "level": now}))
        strangers[0].songs("import", str(tmp_path / "songs.jsonl"))
        client = services[0].connect(token)
        assert [level() for _ in range(20)] == [now] * 20


Minute = Callable[[], None]


@pytest.fixture
def minute(
    outages: Outages,
    services: list[Service],
    strangers: list[Service],
    standby: PrivateServer,
    new_redis_admin: Callable[..., Any],
    ports: list[int],
) -> Minute:
    """Lets everything befall the cache, each with the cache in use before."""
    # Signed in before anything can be in the way of that.
    token = services[0].signed_in("ada")

    def befall() -> None:
        outages.flushed(2.0)
        outages.restored(1.0)
        outages.over(2.0)
        outages.stopped(5.0)
        outages.over(2.0)
        outages.cut_off(5.0)
        outages.over(2.0)
        outages.failed_over(standby, new_redis_admin(standby), ports, 5.0)
        outages.over(2.0)
        outages.written_by(strangers, token, 10.0)
        outages.over(2.0)
        outages.gone(5.0)

    return befall


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("storage", [SQLITE, POSTGRESQL], ids=lambda kind: kind.name, indirect=True)
def test_no_stale_read_for_a_minute(outages: Outages, minute: Minute) -> None:
    """The same for longer; and nobody waits more often than promised."""
    traffic = outages.traffic
    with traffic.flowing():
        traffic.wait("before", 5.0)
        minute()
    print(traffic.report(), outages.waits_in_vain)  # noqa: T201 - for -rP
    assert traffic.faults == []
    for during, processes in (("stopped", 4), ("cut off", 2)):
        assert 0 < outages.waits_in_vain[during] <= processes * (CLIENTS + TRIALS), during
    broken = ("flushed", "restored", "stopped", "continued", "cut off", "healed", "promoted", "moved", "moved back")
    for during in (*broken, "strangers", "gone", "back", "calm"):
        # Two waits take a write at least so long, and one wait of a write's kind a read: shorter is none too many,
        # beyond what this machine takes where nobody waits for the cache.
        for write, too_long_ms in ((False, 1000 * STALE_HITS_S), (True, 2000 * STALE_HITS_S)):
            usual_ms = max(max(traffic.took_ms(each, write=write)) for each in ("before", "off"))
            assert max(traffic.took_ms(during, write=write), default=0) < too_long_ms + usual_ms, during


@pytest.mark.thorough
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("disk", [DISK_MIB], ids=["full"], indirect=True)
@pytest.mark.parametrize("storage", [SQLITE, POSTGRESQL_TABLES], ids=lambda kind: kind.name, indirect=True)
def test_no_stale_read_on_a_disk_that_fills_up(
    outages: Outages, minute: Minute, disk: SmallDisk, services: list[Service]
) -> None:
    """The same while the disk of data and metrics is full now and then: only writes are refused, and no worker ends."""
    traffic = outages.traffic
    running = [service.running for service in services if service.running]
    eventually(lambda: [len(each.children()) for each in running] == [2, 2], within_s=RETURN_S)
    workers = [each.children() for each in running]
    with traffic.flowing(), disk.full_now_and_then():
        traffic.wait("before", 5.0)
        minute()
    print(traffic.report(), disk.changes, traffic.refused)  # noqa: T201 - for -rP
    assert traffic.faults == []
    assert traffic.refused["storage_unavailable"] > 0, "the disk was never full"
    assert [each.children() for each in running] == workers
