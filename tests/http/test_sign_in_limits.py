"""The limits on registering and on guessing passwords."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from songs.errors import LimiterUnavailable, Overloaded
from songs.ports.limiter import RateLimit, Verdict
from songs_api.http.api import accounts
from songs_api.http.api.accounts import TRIED, KnownPlaces
from songs_api.http.kernel.operation import PREFIX
from songs_api.settings.service import ServiceSettings
from songs_memory.limiter import MemoryLimiter

from .conftest import PASSWORD, Build, Service, limited

WRONG = "not the password"
MANY = RateLimit(amount=1_000, window_s=60)


def _attempt(service: Service, name: object, address: str = "192.0.2.1", password: str = WRONG) -> Any:
    body = {"username": name, "password": password}
    return service.client.simulate_post(f"{PREFIX}/auth/login", json=body, remote_addr=address)


def _statuses(service: Service, times: int, name: object, address: str = "192.0.2.1") -> list[int]:
    return [_attempt(service, name, address).status_code for _ in range(times)]


def test_one_name_from_one_address(build: Build) -> None:
    """The attempt too many is 429 with Retry-After; another name or address has its own count; time heals."""
    service = build(limited(sign_in=RateLimit(2, 60)))
    service.join("ada")

    assert _statuses(service, 3, "ada") == [401, 401, 429]
    assert _attempt(service, "ADA").headers["Retry-After"] == "60"
    assert _attempt(service, "ada", password=PASSWORD).status_code == 429
    assert _statuses(service, 1, "bob") == [401]
    assert _attempt(service, "ada", "192.0.2.2", PASSWORD).status_code == 200
    service.services.clock.sleep(60)
    assert _attempt(service, "ada", password=PASSWORD).status_code == 200


def test_many_names_from_one_address(build: Build) -> None:
    """Trying one password on many names is limited by address, before the body is read."""
    service = build(limited(sign_in_address=RateLimit(3, 60)))

    assert [_attempt(service, f"user{n}").status_code for n in range(4)] == [401, 401, 401, 429]
    late = service.client.simulate_post(f"{PREFIX}/auth/login", body="not JSON", remote_addr="192.0.2.1")
    assert late.status_code == 429
    assert _statuses(service, 1, "ada", "192.0.2.2") == [401]


ATTACKERS = [f"198.51.{n // 250}.{n % 250}" for n in range(200)]


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_nobody_locks_another_out(build: Build, name: str) -> None:
    """However many fail with a name from elsewhere, its owner gets in at once, from anywhere, as often as they like."""
    service = build(limited(sign_in_user=RateLimit(3, 3600)))
    service.join("ada")
    began_s = service.services.clock.monotonic_s()
    for address in ATTACKERS:
        assert _statuses(service, 1, name, address) == [401]

    mine = [_attempt(service, "ada", "192.0.2.1", PASSWORD).status_code for _ in range(TRIED.amount * 3)]
    assert mine == [200] * len(mine)
    assert _attempt(service, "ada", "192.0.2.2", PASSWORD).status_code == 200
    assert _attempt(service, "bob").status_code == 401
    assert service.services.clock.monotonic_s() == began_s


@pytest.mark.parametrize("name", ["ada", "nobody", ""])
def test_guessing_a_password_from_many_addresses_is_slow(build: Build, name: str) -> None:
    """A username's own limit for all, and ten tries an hour for each address; whether the user exists or not."""
    service = build(limited(sign_in_user=RateLimit(3, 3600)))
    service.join("ada")
    addresses = ATTACKERS[:20]

    def guesses() -> int:
        return sum(_statuses(service, 15, name, address).count(401) for address in addresses)

    assert guesses() == 3 + TRIED.amount * len(addresses)
    service.services.clock.sleep(60)
    refused = _attempt(service, name, addresses[0])
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3540")
    assert guesses() == 0
    service.services.clock.sleep(3540)
    assert guesses() == 3 + TRIED.amount * len(addresses)


def test_who_is_known_needs_none_of_the_tries(build: Build) -> None:
    """From where someone signed in, wrong passwords are limited as ever, whatever others do; from elsewhere harder."""
    service = build(limited(sign_in=RateLimit(50, 60), sign_in_user=RateLimit(1, 3600)))
    service.join("ada")
    assert _attempt(service, "ada", password=PASSWORD).status_code == 200
    assert _statuses(service, 1, "ada", "198.51.100.1") == [401]

    assert _statuses(service, 30, "ada") == [401] * 30
    assert _statuses(service, 11, "ada", "198.51.100.1") == [401] * 10 + [429]
    assert _statuses(service, 11, "bob") == [401] * 11
    assert _statuses(service, 1, "bob") == [429]


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The place that was signed in from the longest time ago is forgotten."""
    monkeypatch.setattr(accounts, "MAX_KNOWN", 2)
    places = KnownPlaces()
    for place in ("a", "b", "a", "c"):
        places.add(place)

    assert [places.is_known(place) for place in ("a", "b", "c")] == [True, False, True]


class _BusyHasher:
    """A hasher that has no turn for anyone while it is busy."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.busy = False

    def __getattr__(self, name: str) -> Any:
        if self.busy:
            raise Overloaded
        return getattr(self._inner, name)


def test_an_attempt_that_was_not_checked_takes_none_of_the_tries(build: Build) -> None:
    """However often it was answered 503, all of the hour's are left; those of a minute are used, as by whoever asks."""
    service = build(limited(sign_in=RateLimit(30, 60), sign_in_user=RateLimit(1, 3600)))
    service.join("ada")
    assert _statuses(service, 1, "ada", "198.51.100.1") == [401]
    hasher = _BusyHasher(service.services.accounts._passwords)
    service.services.accounts._passwords = hasher
    hasher.busy = True
    assert _statuses(service, 31, "ada") == [503] * 30 + [429]
    hasher.busy = False
    service.services.clock.sleep(60)

    assert _statuses(service, 11, "ada") == [401] * 10 + [429]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_registrations_from_one_address(build: Build, address: str) -> None:
    """The one too many is 429, before its body is read; signing in is not affected."""
    service = build(limited(register=RateLimit(2, 3600)))

    def register(name: str, remote: str) -> int:
        body = {"username": name, "password": PASSWORD}
        return service.client.simulate_post(f"{PREFIX}/auth/register", json=body, remote_addr=remote).status_code

    assert [register(f"user{n}", address) for n in range(3)] == [201, 201, 429]
    assert service.client.simulate_post(f"{PREFIX}/auth/register", body="?", remote_addr=address).status_code == 429
    assert register("user3", "192.0.2.77") == 201
    assert _attempt(service, "user0", address, PASSWORD).status_code == 200


@pytest.mark.parametrize("path", ["password", "me"])
def test_ones_own_password_cannot_be_guessed_either(build: Build, path: str) -> None:
    """Whoever has a token and not the password gets as many attempts as at a sign-in, and they count together."""
    service = build(limited(sign_in=RateLimit(3, 60)))
    sent: dict[str, Any] = {"headers": service.join("ada"), "remote_addr": "192.0.2.1"}

    def guess() -> int:
        body: dict[str, str]
        if path == "me":
            body = {"password": "a guess"}
            return service.client.simulate_delete(f"{PREFIX}/users/me", json=body, **sent).status_code
        body = {"current_password": "a guess", "new_password": PASSWORD}
        return service.client.simulate_post(f"{PREFIX}/auth/password", json=body, **sent).status_code

    assert [guess(), guess(), *_statuses(service, 1, "ada"), guess()] == [403, 403, 401, 429]


class _CountingHasher:
    """A hasher that counts what it is asked to do."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.calls = 0

    def hash(self, password: str, *, wait_s: float) -> str:
        """Count and hash."""
        self.calls += 1
        return str(self._inner.hash(password, wait_s=wait_s))

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> Any:
        """Count and verify."""
        self.calls += 1
        return self._inner.verify(password, hashed, wait_s=wait_s)


def test_what_is_refused_costs_no_hash(build: Build) -> None:
    """Limits are counted before anything is hashed, also when many come at once: no more hashes than attempts."""
    service = build(limited(sign_in=RateLimit(3, 60)))
    hasher = _CountingHasher(service.services.accounts._passwords)
    service.services.accounts._passwords = hasher
    ready = threading.Barrier(12)

    def attempt(_: int) -> int:
        ready.wait(30)
        return int(_attempt(service, "ada").status_code)

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(attempt, range(12)))

    assert statuses == [401] * 3 + [429] * 9
    assert hasher.calls == 3


class _RecordingLimiter(MemoryLimiter):
    """A limiter that remembers its buckets, and answers while it is on."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.buckets: list[str] = []
        self.on = True

    def hit(self, bucket: str, limit: RateLimit) -> Verdict:
        """Count one hit."""
        if not self.on:
            raise LimiterUnavailable
        self.buckets.append(bucket)
        return super().hit(bucket, limit)


def _recording(build: Build, settings: ServiceSettings) -> tuple[Service, _RecordingLimiter]:
    limiter = _RecordingLimiter(build().services.clock)
    return build(settings, replaced={"limiter": limiter}), limiter


def test_buckets_tell_no_names(build: Build) -> None:
    """People type passwords into the wrong field: what was sent as a name is in no bucket, and makes none long."""
    service, limiter = _recording(build, limited(sign_in=MANY, sign_in_user=MANY, sign_in_address=MANY))
    names = ["correct horse", "a:b", "\ufffd\u202e", "x" * 60_000, "", "\0"]

    for name in names:
        assert _attempt(service, name).status_code in {400, 401}

    assert [name for name in names if len(name) > 2 and any(name in bucket for bucket in limiter.buckets)] == []
    assert max(map(len, limiter.buckets)) < 100


def test_names_and_addresses_make_no_others_bucket(build: Build) -> None:
    """No name can be chosen so that its attempts count for another name, address or policy."""
    service, limiter = _recording(build, limited(sign_in=MANY, sign_in_user=MANY, sign_in_address=MANY))
    names = ["ada", "ada:addr:192.0.2.1", "addr:192.0.2.1", "ada ", "sign-in:ada"]

    for name in names:
        _attempt(service, name)

    assert len(set(limiter.buckets)) == 2 * len(names) + 1


def test_without_its_limiter_signing_in_is_limited_harder(build: Build) -> None:
    """Each process counts alone then, and allows a quarter; what had been used up before stays used up."""
    service, limiter = _recording(build, limited(sign_in=RateLimit(8, 60)))
    assert _statuses(service, 8, "used") == [401] * 8
    assert _statuses(service, 1, "begun") == [401]
    limiter.on = False

    assert _statuses(service, 1, "used") == [429]
    assert _statuses(service, 3, "begun") == [401, 401, 429]
    assert _statuses(service, 3, "new") == [401, 401, 429]
