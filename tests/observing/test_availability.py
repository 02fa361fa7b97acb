"""A cache or a limiter that does not answer is logged once, and once when it is back."""

from typing import Any

import pytest
from tests.clock import ManualClock

from songs.errors import CacheUnavailable, LimiterUnavailable
from songs.ports.cache import CacheCapabilities, Miss
from songs.ports.limiter import RateLimit, Verdict
from songs_api.telemetry.telemetry import FIRST_SETTLE_S, LONGEST_SETTLE_S, Availabilities

LIMIT = RateLimit(1, 1)


class _Server:
    """A counting cache on a server that may be down."""

    capabilities = CacheCapabilities(shared=True)

    def __init__(self) -> None:
        self.down = False
        self.entries_down = False

    def ping(self) -> str:
        if self.down:
            raise CacheUnavailable
        return "identity"

    def get(self, group: str, key: str) -> Miss:
        self.ping()
        return Miss(None)

    def fill(self, group: str, key: str, value: bytes, *, lease: bytes, ttl_s: float) -> None:
        self.ping()

    def invalidate(self, groups: list[str]) -> str:
        return self.ping()

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        if self.down:
            raise LimiterUnavailable
        return Verdict(allowed=True, remaining=1, reset_s=1.0)

    def count_and_get(self, bucket: str, limit: RateLimit, group: str, key: str) -> tuple[Verdict, Miss | None]:
        return self.hit(bucket, limit), None if self.entries_down else Miss(None)

    def another_method(self) -> str:
        return "of the adapter"


class _Watched:
    """The server, watched, and the lines about it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.clock, self.server, self._caplog = ManualClock(), _Server(), caplog
        self.all = Availabilities.of(self.clock, cache="far", limiter="near")
        server: Any = self.server
        self.cache: Any = self.all.watched_cache(server)
        self.limiter: Any = self.all.watched_limiter(server)
        self.count_and_get = self.all.watched_counts(server.count_and_get)

    def call(self, name: str) -> None:
        """Make one of the calls, whatever it comes to."""
        calls = {
            "ping": self.cache.ping,
            "get": lambda: self.cache.get("g", "k"),
            "fill": lambda: self.cache.fill("g", "k", b"", lease=b"", ttl_s=1.0),
            "invalidate": lambda: self.cache.invalidate(["g"]),
            "hit": lambda: self.limiter.hit("b", LIMIT),
            "count_and_get": lambda: self.count_and_get("b", LIMIT, "g", "k"),
        }
        try:
            calls[name]()
        except (CacheUnavailable, LimiterUnavailable):
            assert self.server.down

    def told(self) -> list[str]:
        """Return the lines since the last call."""
        lines = [record.getMessage() for record in self._caplog.records]
        self._caplog.clear()
        return lines


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> _Watched:
    """A server that is up."""
    return _Watched(caplog)


@pytest.mark.parametrize("call", ["ping", "get", "fill", "invalidate", "hit", "count_and_get"])
def test_one_line_when_it_goes_and_one_when_it_is_back(watched: _Watched, call: str) -> None:
    """Whichever call finds it out, and however many follow; with what that means, and how long it took."""
    watched.call(call)
    assert watched.told() == []

    watched.server.down = True
    for _ in range(50):
        watched.call(call)
        watched.clock.sleep(0.1)
    (lost,) = watched.told()
    assert "does not answer" in lost
    assert ("counts on its own" if call in {"hit", "count_and_get"} else "reads go to the storage") in lost

    watched.server.down = False
    for _ in range(200):
        watched.call(call)
        watched.clock.sleep(0.1)
    (back,) = watched.told()
    assert "answers again, after 10 s" in back


def test_entries_that_do_not_come_along_are_the_caches(watched: _Watched) -> None:
    """The limiter answered: nothing is said of it."""
    watched.server.entries_down = True
    watched.call("count_and_get")

    (lost,) = watched.told()
    assert lost.startswith("The cache 'far'")


def test_one_that_comes_and_goes_floods_nothing(watched: _Watched) -> None:
    """An hour of a second up and a second down, and one of six seconds each: a line now and then."""
    for seconds, most in ((1, 2), (6, 2 * 3600 // LONGEST_SETTLE_S + 8)):
        for moment in range(3600):
            watched.server.down = moment // seconds % 2 == 1
            watched.call("get")
            watched.clock.sleep(1.0)
        told = watched.told()
        assert 1 <= len(told) <= most


def test_one_that_stays_is_back_soon_the_next_time(watched: _Watched) -> None:
    """What was long ago makes nobody wait."""
    for _ in range(3):
        watched.server.down = True
        watched.call("get")
        watched.server.down = False
        watched.clock.sleep(FIRST_SETTLE_S)
        watched.call("get")
        assert len(watched.told()) == 2
        watched.clock.sleep(LONGEST_SETTLE_S)


def test_it_is_asked_at_the_start(watched: _Watched) -> None:
    """Before anybody needs it: both are told of, once."""
    watched.server.down = True
    watched.all.ask(watched.cache, watched.limiter)
    watched.all.ask(watched.cache, watched.limiter)

    cache, limiter = watched.told()
    assert cache.startswith("The cache 'far' does not answer")
    assert limiter.startswith("The limiter 'near' does not answer")


def test_a_watched_adapter_is_the_adapter(watched: _Watched) -> None:
    """What it returns and what else it has is handed on."""
    assert watched.cache.ping() == "identity"
    assert watched.cache.capabilities == CacheCapabilities(shared=True)
    assert watched.cache.another_method() == "of the adapter"


def test_what_is_in_this_process_is_not_watched() -> None:
    """It always answers, and every request would pay for asking."""
    server: Any = _Server()
    none = Availabilities.of(ManualClock(), cache=None, limiter=None)

    watched = (none.watched_cache(server), none.watched_limiter(server))
    assert all(each is server for each in watched)
    assert none.watched_counts(server.count_and_get) == server.count_and_get
