"""The default limit: per user, or per address where nobody is known; and while its limiter is out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.clock import ManualClock
from tests.limiting import limit_over

from songs.errors import LimiterUnavailable
from songs.ports.limiter import LimiterCapabilities, RateLimit, Verdict
from songs_api.http.kernel.operation import PREFIX
from songs_api.http.kernel.rate_limits import Limit, RateLimits
from songs_api.resilient_limiter import MAX_BUCKETS, ProcessWindows
from songs_memory.limiter import MemoryLimiter

from .conftest import Build, Service, limited

LIMIT = RateLimit(amount=3, window_s=60)
SETTINGS = limited(default=LIMIT)


def _statuses(service: Service, headers: dict[str, str], times: int) -> list[int]:
    return [service.client.simulate_get(f"{PREFIX}/songs", headers=headers).status_code for _ in range(times)]


def test_each_user_has_a_limit(build: Build) -> None:
    """The one request too many is 429 and says when to come back; other users go on; then the window is over."""
    service = build(SETTINGS)
    ada, bob = service.join("ada"), service.join("bob")

    assert _statuses(service, ada, 4) == [200, 200, 200, 429]
    assert _statuses(service, bob, 1) == [200]
    refused = service.client.simulate_get(f"{PREFIX}/nothing", headers=ada)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "60"
    service.services.clock.sleep(60)
    assert _statuses(service, ada, 1) == [200]


def test_signing_in_is_limited_by_address(build: Build) -> None:
    """Before anybody is known the address is counted, over all public routes that do work."""
    service = build(SETTINGS)

    def attempt(path: str, address: str) -> int:
        body = {"username": "nobody", "password": "wrong"}
        return service.client.simulate_post(f"{PREFIX}/auth/{path}", json=body, remote_addr=address).status_code

    assert [attempt("login", "192.0.2.1") for _ in range(2)] == [401, 401]
    assert attempt("register", "192.0.2.1") == 422
    assert attempt("register", "192.0.2.1") == 429
    assert attempt("login", "192.0.2.1") == 429
    assert attempt("login", "192.0.2.2") == 401


def test_a_forged_address_is_nobody_elses(build: Build) -> None:
    """Without trusted proxies X-Forwarded-For is ignored."""
    service = build(SETTINGS)
    statuses = [
        service.client.simulate_post(
            f"{PREFIX}/auth/login", json={}, headers={"X-Forwarded-For": f"192.0.2.{n}"}
        ).status_code
        for n in range(4)
    ]

    assert statuses == [422, 422, 422, 429]


def test_health_and_documentation_are_not_limited(build: Build) -> None:
    """Probes and the page with its files never run out."""
    service = build(SETTINGS)

    for path in ("/health", "/health/ready", "/docs", "/openapi.json"):
        statuses = {service.client.simulate_get(PREFIX + path).status_code for _ in range(5)}

        assert statuses == {200}


def test_a_request_without_a_token_is_401_and_counts_nowhere(build: Build) -> None:
    """Being refused uses up nobody's limit, and is never 429: what is closed is closed."""
    service = build(SETTINGS)

    assert _statuses(service, {}, 5) == [401] * 5
    assert service.client.simulate_post(f"{PREFIX}/auth/login", json={}).status_code == 422


class _FailingLimiter:
    """A limiter that answers until it is switched off."""

    def __init__(self) -> None:
        self.on = True
        self.remaining = 2
        self.serial = 0

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Answer as a shared limiter would to which others send hits as well."""
        if not self.on:
            raise LimiterUnavailable
        self.serial += 1
        return Verdict(allowed=True, remaining=self.remaining, reset_s=30.0, window="w", serial=self.serial)

    def give_back(self, bucket: str, limit: RateLimit, window: str) -> None:
        """Do nothing."""


def _charges(limit: Limit, bucket: str, times: int) -> list[bool]:
    verdicts = [limit.hit(bucket) for _ in range(times)]
    return [verdict is not None and verdict.allowed for verdict in verdicts]


def test_an_outage_gives_nobody_a_fresh_start() -> None:
    """What the limiter last said was left is what is left; a bucket never seen has the whole limit."""
    limiter, clock = _FailingLimiter(), ManualClock()
    limit = limit_over(limiter, LIMIT, clock)
    limit.hit("seen")
    limiter.on = False

    assert _charges(limit, "seen", 3) == [True, True, False]
    assert _charges(limit, "new", 4) == [True, True, True, False]


def test_what_others_used_up_is_remembered_in_an_outage() -> None:
    """The least that the limiter said was left in a window counts, not only what this process used of it."""
    limiter, clock = _FailingLimiter(), ManualClock()
    limit = limit_over(limiter, LIMIT, clock)
    limit.hit("a")
    limiter.remaining = 0
    limit.hit("a")
    limiter.on = False

    assert _charges(limit, "a", 1) == [False]


def test_windows_end_during_an_outage_too() -> None:
    """The remembered window ends when the limiter said, and the next is counted here."""
    limiter, clock = _FailingLimiter(), ManualClock()
    limiter.remaining = 0
    limit = limit_over(limiter, LIMIT, clock)
    limit.hit("a")
    limiter.on = False
    clock.sleep(29)

    assert _charges(limit, "a", 1) == [False]
    clock.sleep(1)
    assert _charges(limit, "a", 4) == [True, True, True, False]


@pytest.mark.parametrize(("left", "allowed"), [(40, 40), (7, 6), (1, 0), (0, 0)])
def test_processes_share_what_is_left_in_an_outage(left: int, allowed: int) -> None:
    """Two that heard the same allow no more than that together, rounded down."""
    limiter, clock = _FailingLimiter(), ManualClock()
    limits = [limit_over(limiter, RateLimit(60, 60), clock, processes=2) for _ in range(2)]
    limiter.remaining = left
    for limit in limits:
        limit.hit("seen")
    limiter.on = False

    assert sum(_charges(limits[0], "seen", 60)) + sum(_charges(limits[1], "seen", 60)) == allowed


@pytest.mark.parametrize(("processes", "divisor", "each"), [(1, 1, 10), (3, 1, 3), (3, 4, 2), (5, 4, 2), (20, 1, 1)])
def test_each_process_has_its_part_of_a_new_bucket(processes: int, divisor: int, each: int) -> None:
    """The smaller of its part and of what is meant for an outage; but somebody who is new gets in."""
    limiter = _FailingLimiter()
    limiter.on = False
    limit = limit_over(limiter, RateLimit(10, 60), ManualClock(), processes=processes, outage_divisor=divisor)

    assert sum(_charges(limit, "new", 20)) == each


def test_a_limiter_that_comes_and_goes_divides_once() -> None:
    """Within one window a part stays a part, and the limiter decides while it answers; then all begins anew."""
    limiter, clock = _FailingLimiter(), ManualClock()
    limit = limit_over(limiter, RateLimit(16, 60), clock, processes=2)
    limiter.remaining = 12
    limit.hit("a")
    limiter.on = False
    assert _charges(limit, "a", 1) == [True]  # 6 are its part
    limiter.on = True
    assert _charges(limit, "a", 1) == [True]
    limiter.on = False

    assert sum(_charges(limit, "a", 12)) == 5
    clock.sleep(30)
    assert sum(_charges(limit, "a", 12)) == 8


def test_an_outage_is_not_an_error_to_anyone(build: Build) -> None:
    """With its limiter out, the service answers, and limits."""
    limiter = _FailingLimiter()
    service = build(SETTINGS, replaced={"limiter": limiter})
    limiter.on = False

    assert _statuses(service, service.join("ada"), 4) == [200, 200, 200, 429]


class _Flushed(MemoryLimiter):
    """A limiter that can lose its counts, as a server without persistence does."""

    def flush(self) -> None:
        """Lose them."""
        self.close()
        self.open()


def _flushed(clock: ManualClock) -> _Flushed:
    limiter = _Flushed(clock)
    limiter.open()
    return limiter


def test_a_limiter_that_lost_its_counts_gives_nobody_a_fresh_start() -> None:
    """What this process remembers of a window holds until it would have ended; then the limiter alone counts."""
    clock = ManualClock()
    limiter = _flushed(clock)
    limit = limit_over(limiter, LIMIT, clock)
    assert _charges(limit, "begun", 2) == [True, True]
    assert _charges(limit, "used", 4) == [True, True, True, False]
    clock.sleep(30)
    limiter.flush()

    assert _charges(limit, "begun", 2) == [True, False]
    assert _charges(limit, "used", 1) == [False]
    assert _charges(limit, "new", 4) == [True, True, True, False]
    clock.sleep(29)
    refused = limit.hit("used")
    assert refused is not None
    assert (refused.allowed, refused.remaining, refused.reset_s) == (False, 0, 1.0)
    # The limiter counted one that was refused, in a window of its own that goes on.
    clock.sleep(1)
    assert _charges(limit, "used", 3) == [True, True, False]
    clock.sleep(30)
    assert _charges(limit, "used", 4) == [True, False, False, False]
    clock.sleep(30)
    assert _charges(limit, "used", 4) == [True, True, False, False]


def test_a_flush_and_an_outage_add_up_to_no_fresh_start() -> None:
    """Refused after a flush, refused in the outage after it."""
    clock = ManualClock()
    limiter = _flushed(clock)
    limit = limit_over(limiter, LIMIT, clock)
    assert _charges(limit, "a", 2) == [True, True]
    clock.sleep(30)
    limiter.flush()
    assert _charges(limit, "a", 1) == [True]
    limiter.close()

    assert _charges(limit, "a", 1) == [False]


def test_the_count_beside_changes_nothing_while_the_limiter_remembers() -> None:
    """Many windows, many threads, other processes' hits: exactly as many are allowed as the limiter allows."""
    clock = ManualClock()
    limiter = _flushed(clock)
    here, elsewhere = (limit_over(limiter, RateLimit(50, 60), clock) for _ in range(2))
    for _ in range(5):
        clock.sleep(61.7)
        assert _charges(elsewhere, "a", 20) == [True] * 20
        clock.sleep(17.3)
        with ThreadPoolExecutor(8) as pool:
            allowed = sum(sum(each) for each in pool.map(lambda _: _charges(here, "a", 10), range(8)))
        assert allowed == 30


def test_clients_are_told_what_is_left(build: Build) -> None:
    """RateLimit-Policy and RateLimit on every counted answer, good or refused; not where nothing is counted."""
    service = build(SETTINGS)
    ada = service.join("ada")

    def told(path: str, headers: dict[str, str]) -> tuple[str | None, str | None]:
        answer = service.client.simulate_get(PREFIX + path, headers=headers)
        return answer.headers.get("RateLimit-Policy"), answer.headers.get("RateLimit")

    assert told("/songs", ada) == ('"default";q=3;w=60', '"default";r=2;t=60')
    service.services.clock.sleep(0.5)
    assert told("/nothing", ada) == ('"default";q=3;w=60', '"default";r=1;t=60')
    service.services.clock.sleep(29.5)
    assert told("/songs", ada) == ('"default";q=3;w=60', '"default";r=0;t=30')
    assert told("/songs", ada) == ('"default";q=3;w=60', '"default";r=0;t=30')
    assert told("/songs", {}) == (None, None)
    assert told("/health", {}) == (None, None)


def test_clients_are_told_of_every_limit(build: Build) -> None:
    """A sign-in counts against several, in one list; of attempts by others nothing is told."""
    settings = limited(
        default=RateLimit(100, 60),
        sign_in=RateLimit(5, 60),
        sign_in_address=RateLimit(20, 60),
        sign_in_user=RateLimit(10, 3600),
    )
    service = build(settings)

    answer = service.client.simulate_post(f"{PREFIX}/auth/login", json={"username": "ada", "password": "wrong"})

    assert answer.headers["RateLimit-Policy"] == '"default";q=100;w=60, "sign-in-address";q=20;w=60, "sign-in";q=5;w=60'
    assert answer.headers["RateLimit"] == '"default";r=99;t=60, "sign-in-address";r=19;t=60, "sign-in";r=4;t=60'


def test_what_a_limiter_in_this_process_said_is_not_remembered(build: Build) -> None:
    """It is asked without a count beside it: it does not fail, and does not forget."""
    services = replace(build().services, limiter_capabilities=LimiterCapabilities(shared=False))

    assert RateLimits(services).limit("default", LIMIT)._limiter is services.limiter


def test_where_nothing_is_counted_no_limit_is_promised(build: Build) -> None:
    """With the limiter `none` requests are neither refused nor given headers of a limit."""
    unlimited = replace(build().services, limiter_capabilities=LimiterCapabilities(shared=True, limits=False))

    assert RateLimits(unlimited).limit("default", LIMIT).hit("somebody") is None


def test_what_is_remembered_is_bounded() -> None:
    """Any number of addresses takes the memory of `MAX_BUCKETS`."""
    windows = ProcessWindows()
    limit = limit_over(_FailingLimiter(), LIMIT, ManualClock(), windows=windows)
    for n in range(MAX_BUCKETS + 100):
        limit.hit(str(n))

    assert len(windows) == MAX_BUCKETS // 2
