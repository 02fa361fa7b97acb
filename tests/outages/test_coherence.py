"""What was acknowledged is seen by every later read, through any process, whatever happens to the cache."""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.outages.relay import Relay
from tests.outages.service import Service
from tests.outages.storages import POSTGRESQL, SQLITE, Kind
from tests.outages.traffic import Traffic

from songs_redis.server import PrivateServer

pytestmark = [pytest.mark.server, pytest.mark.redis]

READ_MS, FIRST_WRITE_MS = 200.0, 1500.0
"""What an outage of the cache may cost: any read, and the first write of each process."""
RETURN_S = 60.0
METRICS_TOKEN = "a-token-for-those-who-watch"
_RECORD = re.compile(r"^songs_coherence_(epoch|cache_on) ([0-9.]+)$", re.MULTILINE)


@pytest.fixture
def cache(new_redis_server: Callable[..., PrivateServer]) -> PrivateServer:
    """A running, empty redis-server."""
    return new_redis_server()


@pytest.fixture
def admin(cache: PrivateServer, new_redis_admin: Callable[[PrivateServer], Callable[..., Any]]) -> Callable[..., Any]:
    """Sends one command to the server, as its operator would."""
    return new_redis_admin(cache)


@pytest.fixture
def relay(cache: PrivateServer) -> Iterator[Relay]:
    """The way of the second process to the server."""
    relay = Relay(cache.socket)
    yield relay
    relay.close()


@pytest.fixture
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of the storage of both processes: SQLite, unless the test names another kind."""
    kind: Kind = getattr(request, "param", SQLITE)
    with kind.variables(tmp_path) as variables:
        yield {**variables, "SONGS_STORAGE": kind.name}


@pytest.fixture
def services(
    cache: PrivateServer, relay: Relay, storage: dict[str, str], new_service: Callable[..., Service]
) -> list[Service]:
    """Two services, of two processes each, on one storage, one cache and one limiter."""
    variables = {
        **storage,
        "SONGS_CACHE": "redis",
        "SONGS_LIMITER": "redis",
        "SONGS_LIMITER_DEFAULT": "999999999/minute",
        "SONGS_METRICS_TOKEN": METRICS_TOKEN,
        "SONGS_WORKERS": "2",
    }
    urls = (cache.url, f"redis://127.0.0.1:{relay.port}")
    services = [new_service({**variables, "SONGS_REDIS_URL": url}) for url in urls]
    services[0].add_user("ada", "editor")
    for service in services:
        service.start()
    for service in services:
        assert service.running
        service.running.wait_until_it_answers()
    return services


@pytest.fixture
def traffic(services: list[Service]) -> Traffic:
    """Clients of both."""
    token = services[0].signed_in("ada")
    return Traffic([partial(service.connect, token) for service in services])


class Outages:
    """What befalls the cache while there is traffic."""

    def __init__(
        self, traffic: Traffic, cache: PrivateServer, admin: Callable[..., Any], relay: Relay, service: Service
    ) -> None:
        self.traffic = traffic
        self._cache = cache
        self._admin = admin
        self._relay = relay
        self._service = service

    def flushed(self, duration_s: float) -> None:
        """It loses everything, again and again."""
        ends_s = time.monotonic() + duration_s
        while time.monotonic() < ends_s:
            self._admin("FLUSHALL")
            self.traffic.wait("flushed", 0.2)

    def stopped(self, duration_s: float) -> None:
        """It hangs, and then obeys what it was told meanwhile."""
        os.kill(self._cache.pid, signal.SIGSTOP)
        try:
            self.traffic.wait("stopped", duration_s)
        finally:
            os.kill(self._cache.pid, signal.SIGCONT)
        self.traffic.wait("continued", 0.5)

    def cut_off(self, duration_s: float) -> None:
        """One of the processes cannot reach it, and what that one sent arrives later."""
        self._relay.cut()
        self.traffic.wait("cut off", duration_s)
        self._relay.heal()
        self.traffic.wait("healed", 0.5)

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

    def over(self, duration_s: float) -> None:
        """It is used again."""
        ends_s = time.monotonic() + RETURN_S
        while not self.record()[1] and time.monotonic() < ends_s:
            self.traffic.wait("off", 0.1)
        assert self.record()[1] or self.traffic.faults, "the cache was not switched on again"
        self.traffic.wait("calm", duration_s)
        assert self._admin("INFO", "stats")["keyspace_hits"] > 0

    def record(self) -> tuple[int, bool]:
        """Return the epoch, and whether the cache is on, as the first service last saw them; 0 before it looked."""
        url = f"http://127.0.0.1:{self._service.port}/metrics"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        with urllib.request.urlopen(request, timeout=RETURN_S) as answer:
            values = dict(_RECORD.findall(answer.read().decode()))
        return int(float(values.get("epoch", 0))), values.get("cache_on") == "1.0"


@pytest.fixture
def outages(
    traffic: Traffic, cache: PrivateServer, admin: Callable[..., Any], relay: Relay, services: list[Service]
) -> Outages:
    """What may befall the cache."""
    return Outages(traffic, cache, admin, relay, services[0])


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


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("storage", [SQLITE, POSTGRESQL], ids=lambda kind: kind.name, indirect=True)
def test_no_stale_read_for_a_minute(outages: Outages) -> None:
    """The same for longer, each outage with the cache in use before; and nobody waits longer than promised."""
    traffic = outages.traffic
    with traffic.flowing():
        traffic.wait("before", 5.0)
        outages.flushed(2.0)
        outages.restored(1.0)
        outages.over(2.0)
        outages.stopped(5.0)
        outages.over(2.0)
        outages.cut_off(5.0)
        outages.over(2.0)
        outages.gone(5.0)
    print(traffic.report())  # noqa: T201 - for -rP
    assert traffic.faults == []
    for during in ("flushed", "restored", "stopped", "continued", "cut off", "healed", "gone", "back", "calm"):
        for write, added_ms in ((False, READ_MS), (True, FIRST_WRITE_MS)):
            # What this machine takes where nobody waits for the cache.
            usual_ms = max(max(traffic.took_ms(each, write=write)) for each in ("before", "off"))
            assert max(traffic.took_ms(during, write=write), default=0) <= added_ms + usual_ms, during
