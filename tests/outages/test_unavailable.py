"""A cache and a limiter that stop answering are in the log of each process, once, and so is their return."""

import os
import signal
from collections.abc import Callable
from functools import partial

import pytest
from tests.outages.service import Service

from songs_contract.harness.timing import eventually
from songs_redis.testing import PrivateServer

pytestmark = [pytest.mark.server, pytest.mark.redis]

PATIENCE_S = 60.0
CACHE_LOST, LIMITER_LOST = "The cache 'redis' does not answer", "The limiter 'redis' does not answer"
CACHE_BACK, LIMITER_BACK = "The cache 'redis' answers again", "The limiter 'redis' answers again"


@pytest.fixture(params=["granian", "gunicorn"])
def service(
    request: pytest.FixtureRequest, new_redis_server: Callable[..., PrivateServer], new_service: Callable[..., Service]
) -> tuple[Service, PrivateServer]:
    """A service of two processes that is not started yet, and its Redis server."""
    redis = new_redis_server()
    variables = {
        "SONGS_STORAGE": "sqlite",
        "SONGS_SQLITE_PATH": "songs.db",
        "SONGS_SERVER": request.param,
        "SONGS_WORKERS": "2",
        "SONGS_CACHE": "redis",
        "SONGS_LIMITER": "redis",
        "SONGS_REDIS_URL": redis.url,
        "SONGS_LIMITER_DEFAULT": "100000/minute",
        "SONGS_LOG_LEVEL": "warning",
    }
    return new_service(variables), redis


def _counts(service: Service) -> list[int]:
    assert service.running is not None
    log = service.running.log.read_text()
    return [log.count(line) for line in (CACHE_LOST, LIMITER_LOST, CACHE_BACK, LIMITER_BACK)]


def _use(service: Service, token: str) -> None:
    """Let every process ask both, by connections of its own."""
    for _ in range(10):
        service.connect(token).ask("GET", "/songs")
        service.connect(token).ask("GET", "/health/ready")


def _counts_when_used(service: Service, token: str) -> list[int]:
    _use(service, token)
    return _counts(service)


def test_redis_that_hangs(service: tuple[Service, PrivateServer]) -> None:
    """While it is stopped, and when it goes on."""
    it, redis = service
    it.add_user("ada", "user")
    it.start().wait_until_it_answers()
    token = it.signed_in("ada")
    counts = partial(_counts_when_used, it, token)
    assert counts() == [0, 0, 0, 0]

    os.kill(redis.pid, signal.SIGSTOP)
    try:
        eventually(lambda: counts() == [2, 2, 0, 0], within_s=PATIENCE_S)
        assert counts() == [2, 2, 0, 0]
    finally:
        os.kill(redis.pid, signal.SIGCONT)

    eventually(lambda: counts() == [2, 2, 2, 2], within_s=PATIENCE_S)
    assert counts() == [2, 2, 2, 2]


def test_redis_that_is_not_there_at_the_start(service: tuple[Service, PrivateServer]) -> None:
    """Before anybody asks: each process says so once."""
    it, redis = service
    redis.kill()
    it.start().wait_until_it_answers()

    eventually(lambda: _counts(it) == [2, 2, 0, 0], within_s=PATIENCE_S)
