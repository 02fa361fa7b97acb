"""Hashing passwords is dear: it is bounded, and takes the same work whether a user exists or not."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import bcrypt
import pytest
from tests.clock import ManualClock

from songs.application.accounts import Accounts
from songs.model import User
from songs.ports.clock import Clock, Deadline
from songs.ports.ids import IdGenerator
from songs.ports.passwords import PasswordCheck, PasswordHasher
from songs.ports.storage import Scope
from songs_api.bootstrap import container
from songs_api.http.kernel.operation import PREFIX
from songs_plugins import AdapterContext, Port
from songs_security import bcrypt_plugin

from .conftest import PASSWORD, Build, Service, adapter

CONCURRENCY = 2
SIGN_INS = 200


def _sign_in(service: Service, name: str, password: str) -> Any:
    return service.client.simulate_post(f"{PREFIX}/auth/login", json={"username": name, "password": password})


class _Hashes:
    """Counts the hashes that are computed, all in all and at once, and holds them while it is told to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.costs: list[int] = []
        self.most = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def counted(self, compute: Any, cost_of: Any) -> Any:
        """Return `compute` with counting around it."""

        def call(password: bytes, salt: bytes) -> Any:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
                self.costs.append(cost_of(salt))
            try:
                assert self.go_on.wait(60)
                return compute(password, salt)
            finally:
                with self._lock:
                    self._now -= 1

        return call


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Hashes]:
    """Counts what bcrypt computes, by its cost."""
    counted = _Hashes()
    for name in ("hashpw", "checkpw"):
        function = counted.counted(getattr(bcrypt, name), lambda stored: int(stored[4:6]))
        monkeypatch.setattr(bcrypt, name, function)
    yield counted
    counted.go_on.set()


def test_every_refusal_takes_the_same_work(service: Service, hashes: _Hashes) -> None:
    """Unknown name, wrong password, disabled user, damaged hash: one hash of one cost each, and one answer."""
    service.join("ada")
    service.join("doris")
    service.join("carla")
    service.services.accounts.change("doris", disabled=True, deadline=service.deadline())
    _damage(service, "carla")
    answers, costs = [], []
    for name, password in (
        ("nobody", PASSWORD),
        ("ada", "not hers"),
        ("doris", PASSWORD),
        ("doris", "not hers"),
        ("carla", PASSWORD),
        ("", ""),
        ("not a name", "x" * 10_000),
    ):
        del hashes.costs[:]
        result = _sign_in(service, name, password)
        answers.append((result.status_code, str({**result.json, "instance": ""}), result.headers["WWW-Authenticate"]))
        costs.append(list(hashes.costs))

    assert len(set(answers)) == 1
    assert answers[0][0] == 401
    assert costs == [[4]] * 7


def _damage(service: Service, name: str) -> None:
    user = service.services.accounts.get(name, deadline=service.deadline())
    damaged = replace(user, password_hash=user.password_hash[:-5], version=2)
    with service.services.storage.unit_of_work(Scope.WRITE_ONE, deadline=service.deadline()) as unit:
        unit.users.replace(damaged, if_version=1)


def test_two_hundred_sign_ins_at_once(build: Build, hashes: _Hashes, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more hashes at once than configured; what is too much is 503 with Retry-After; reading goes on meanwhile."""
    monkeypatch.setattr(container, "usable_cores", lambda: CONCURRENCY)
    service = build()
    headers = service.join("ada")
    song_id = service.add_song()
    hashes.most = 0
    hashes.go_on.clear()
    refused = threading.Semaphore(0)

    def sign_in(_: int) -> Any:
        result = _sign_in(service, "ada", PASSWORD)
        refused.release()
        return result

    with ThreadPoolExecutor(SIGN_INS) as pool:
        running = [pool.submit(sign_in, n) for n in range(SIGN_INS)]
        try:
            # All but the eight that hash or wait for their turn are refused, while not one hash is finished.
            assert all(refused.acquire(timeout=60) for _ in range(SIGN_INS - 8))
            assert len(hashes.costs) <= 1 + CONCURRENCY
            for path in ("/songs", f"/songs/{song_id}", f"/songs/{song_id}/ratings", "/health", "/health/ready"):
                assert service.client.simulate_get(PREFIX + path, headers=headers).status_code == 200
        finally:
            hashes.go_on.set()
        results = [each.result() for each in running]

    assert hashes.most == CONCURRENCY
    too_much = [result for result in results if result.status_code != 200]
    assert {(result.status_code, result.headers["Retry-After"]) for result in too_much} == {(503, "1")}
    assert len(too_much) >= SIGN_INS - 8


class _Slow:
    """A hasher to which everything takes longer than a request may wait for the storage."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self.clock: Clock | None = None

    def hash(self, password: str, *, wait_s: float) -> str:
        """Hash, and let time pass."""
        assert wait_s > 0
        self._pass()
        return self._hasher.hash(password, wait_s=wait_s)

    def verify(self, password: str, hashed: str | None, *, wait_s: float) -> PasswordCheck:
        """Check, and let time pass."""
        assert wait_s > 0
        self._pass()
        return replace(self._hasher.verify(password, hashed, wait_s=wait_s), outdated=True)

    def _pass(self) -> None:
        if self.clock is not None:
            self.clock.sleep(10.0)


def _register(accounts: Accounts, _: User, deadline: Deadline) -> None:
    accounts.register("bob", PASSWORD, deadline=deadline)


def _sign_in_and_hash_again(accounts: Accounts, ada: User, deadline: Deadline) -> None:
    signed_in = accounts.sign_in("ada", PASSWORD, deadline=deadline)
    assert signed_in.user.password_hash != ada.password_hash


def _change(accounts: Accounts, ada: User, deadline: Deadline) -> None:
    accounts.change_password(ada.id, PASSWORD, "another long phrase of hers", deadline=deadline)


def _set(accounts: Accounts, _: User, deadline: Deadline) -> None:
    accounts.set_password("ada", "another long phrase of hers", deadline=deadline)


def _remove(accounts: Accounts, ada: User, deadline: Deadline) -> None:
    accounts.remove_own(ada.id, PASSWORD, deadline=deadline)


@pytest.mark.parametrize("act", [_register, _sign_in_and_hash_again, _change, _set, _remove])
def test_hashing_takes_nothing_of_the_deadline(build: Build, act: Callable[[Accounts, User, Deadline], None]) -> None:
    """The time to wait for the storage is left whole by work that took longer than that, once or twice."""
    memory = AdapterContext(clock=ManualClock(), ids=cast("IdGenerator", None))
    slow = _Slow(adapter(bcrypt_plugin, Port.PASSWORDS, memory, rounds=4, concurrency=2))
    service = build(replaced={"passwords": slow})
    service.join("ada")
    accounts, ada = service.services.accounts, service.services.accounts.get("ada", deadline=service.deadline())
    slow.clock = service.services.clock

    act(accounts, ada, service.deadline())
